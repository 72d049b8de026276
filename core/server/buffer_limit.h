/* buffer_limit.h: what is done when all connections together buffer more than they may. Private to
 * the server room. */
#ifndef SERVER_BUFFER_LIMIT_H
#define SERVER_BUFFER_LIMIT_H

#include "server/connection.h"

/* Refuses those that buffer the most until a sixteenth of the limit is free again. */
void buffer_limit_enforce(struct server *server);

/* Whether that is due. */
static inline bool buffer_limit_is_exceeded(const struct server *server) {
  return server->buffered > server->max_buffered;
}

#endif
