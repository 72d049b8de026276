/* migrate.h: moves idle connections to the new handler of their service. Private to the server
 * room.
 *
 * Without it, a connection would keep the old handler until its next request. There may be very
 * many connections. So each turn of the loop looks at a slice of them, and no turn waits for events
 * while some are left. All services share one walk over the connections: a connection that
 * has nothing to move costs next to nothing. */
#ifndef SERVER_MIGRATE_H
#define SERVER_MIGRATE_H

#include "server/loop.h"

/* Begins at the newest connection, also when a walk is under way. Connections that are accepted
 * later have the new handler already. */
void migrate_begin(struct server *server);

/* Moves the next slice. To be called when no event of the turn is left. */
void migrate_slice(struct server *server);

static inline bool migrate_is_under_way(const struct server *server) {
  return server->next_to_migrate != NULL;
}

#endif
