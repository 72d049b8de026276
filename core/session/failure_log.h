/* failure_log.h: the line in the log about a session that has failed. */
#ifndef SESSION_FAILURE_LOG_H
#define SESSION_FAILURE_LOG_H

#include "session/reason.h"

struct session;

/* Logs the reason, the peer, the first bytes of its request, and the detail, unless there are too
 * many such lines. */
void failure_log(struct session *session, enum reason reason, const char *detail);

#endif
