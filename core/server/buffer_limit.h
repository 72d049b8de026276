/* buffer_limit.h: the limit for the memory that all connections together buffer. Private to the
 * server room.
 *
 * What the streams of scripts buffer does not count: they have limits of their own, and to refuse a
 * client because another server is slow would free nothing. */
#ifndef SERVER_BUFFER_LIMIT_H
#define SERVER_BUFFER_LIMIT_H

#include "server/connection.h"

/* Refuses the connections that buffer the most until a sixteenth of the limit is free. */
void buffer_limit_enforce(struct server *server);

static inline bool buffer_limit_is_exceeded(const struct server *server) {
  return server->buffered > server->max_buffered;
}

#endif
