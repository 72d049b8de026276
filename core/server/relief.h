/* relief.h: what is done when all connections together buffer more than they may. Private to the
 * server room. */
#ifndef SERVER_RELIEF_H
#define SERVER_RELIEF_H

#include "server/connection.h"

/* Refuses those that buffer the most until a sixteenth of the limit is free again. */
void relief_give(struct server *server);

/* Whether that is due. */
static inline bool relief_is_due(const struct server *server) {
  return server->buffered > server->max_buffered;
}

#endif
