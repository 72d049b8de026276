/* sweep.h: after a service got a new handler, moves the connections that would else keep the old
 * one until their next request. Private to the server room.
 *
 * There may be very many, so a turn of the loop looks at a slice of them, and does not wait for
 * events while some are left. One sweep serves all services: a connection that has nothing to move
 * costs next to nothing. */
#ifndef SERVER_SWEEP_H
#define SERVER_SWEEP_H

#include "server/loop.h"

/* Begins at the newest connection, also when a sweep is under way. Those that are accepted later
 * have the new handler anyway. */
void sweep_begin(struct server *server);

/* Moves the next slice. To be called when no event of the turn is left. */
void sweep_slice(struct server *server);

static inline bool sweep_is_on(const struct server *server) { return server->to_move != NULL; }

#endif
