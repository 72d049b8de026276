/* serve.h: does in Lua what a session asks of its handler.
 *
 * One entry through the gate serves every step that a session has ready: all the requests of a
 * pipelined batch, say. */
#ifndef SCRIPT_SERVE_H
#define SCRIPT_SERVE_H

#include "session/session.h"

/* The `work`, `release`, `move` and `forget` of the handler in a struct generation. */
void serve_run(struct handler *handler, struct session *session);
void serve_release(struct handler *handler, struct session *session, int reference);
void serve_migrate(struct handler *handler, struct session *session, struct handler *successor);
void serve_forget_client(struct handler *handler, struct session *session);

#endif
