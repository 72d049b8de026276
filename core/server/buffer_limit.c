#include "server/buffer_limit.h"

/* Sizes that differ by less than an eighth are one class: three bits behind the first. */
enum { BITS = 3, CLASSES = 64 << BITS };

static unsigned class_of(size_t size) {
  if (size >> BITS == 0) return (unsigned)size;
  unsigned shift = 63 - BITS - (unsigned)__builtin_clzll(size);
  return (shift << BITS) + (unsigned)(size >> shift);
}

/* The smallest class of which somebody has to go, so that `excess` bytes come free. */
static unsigned least_class(const struct server *server, size_t excess) {
  size_t sums[CLASSES] = {0};
  for (const struct connection *connection = server->connections; connection;
       connection = connection_next(connection)) {
    size_t size = connection_buffered(connection);
    sums[class_of(size)] += size;
  }
  unsigned class = CLASSES;
  for (size_t found = 0; class > 1 && found < excess; found += sums[class]) class --;
  return class;
}

/* Somebody pays for each string that is still held, so that he can be refused. */
static void claim_strings(struct server *server) {
  for (struct connection *connection = server->connections; connection;
       connection = connection_next(connection))
    connection_claim(connection);
}

/* Two walks over the connections, however many must go. Between two reliefs at least as much has
 * come in as one of them frees, so that a byte costs little. Only handle_error runs in here, and
 * each connection that is refused a second time gives up all. */
void buffer_limit_enforce(struct server *server) {
  if (server->held.unpaid > 0) claim_strings(server);
  size_t enough = server->max_buffered - server->max_buffered / 16;
  unsigned least = least_class(server, server->buffered - enough);
  struct connection *next;
  for (struct connection *connection = server->connections; connection && server->buffered > enough;
       connection = next) {
    next = connection_next(connection);
    if (connection_buffered(connection) > 0 && class_of(connection_buffered(connection)) >= least)
      connection_refuse(connection);
  }
}
