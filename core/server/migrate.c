#include "server/migrate.h"

#include "server/connection.h"

enum { SLICE = 64 }; /* connections in a turn */

void migrate_begin(struct server *server) { server->next_to_migrate = server->connections; }

void migrate_slice(struct server *server) {
  for (int i = 0; i < SLICE && server->next_to_migrate; i++) {
    struct connection *connection = server->next_to_migrate;
    server->next_to_migrate = connection_next(connection);
    connection_migrate(connection);
  }
}
