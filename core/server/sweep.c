#include "server/sweep.h"

#include "server/connection.h"

enum { SLICE = 64 }; /* connections in a turn */

void sweep_begin(struct server *server) { server->to_move = server->connections; }

void sweep_slice(struct server *server) {
  for (int i = 0; i < SLICE && server->to_move; i++) {
    struct connection *connection = server->to_move;
    server->to_move = connection_next(connection);
    connection_migrate(connection);
  }
}
