#include "server/buffer_limit.h"

/* Sizes with the same leading one and the same BITS bits behind it are in one class: they differ by
 * less than an eighth. */
enum { BITS = 3, CLASSES = 64 << BITS };

static unsigned class_of(size_t size) {
  if (size >> BITS == 0) return (unsigned)size;
  unsigned shift = 63 - BITS - (unsigned)__builtin_clzll(size);
  return (shift << BITS) + (unsigned)(size >> shift);
}

/* Returns the smallest class in which connections must be refused to free `excess` bytes. */
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

/* Counts each held string that no connection is charged for to one of the connections that hold
 * it, so that refusing that connection frees it. */
static void claim_strings(struct server *server) {
  for (struct connection *connection = server->connections; connection;
       connection = connection_next(connection))
    connection_claim(connection);
}

/* Walks over the connections twice, however many are refused. Before the limit is exceeded again,
 * at least a sixteenth of it must come in, so that the walks cost little for each byte. Only
 * handle_error runs in here, and a connection that is refused a second time gives up all that it
 * buffers. */
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
