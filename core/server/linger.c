#include "server/linger.h"

#include "base/clock.h"
#include "server/connection_internal.h"

enum {
  LINGER_TIME = 5000,         /* ms that a peer may go on sending after its session has ended. */
  LINGER_TIME_DRAINING = 1000 /* The same, in ms, while the server is stopping. */
};

int64_t linger_time(const struct connection *connection, enum reason reason, int64_t idle_since) {
  const struct server *server = connection_server(connection);
  if (!server->is_draining) return LINGER_TIME;
  if (reason != REASON_DRAINED) return LINGER_TIME_DRAINING;
  if (!connection->has_sent) return 0;
  if (transport_unacknowledged(&connection->transport) > 0) return LINGER_TIME_DRAINING;
  int64_t left = idle_since + LINGER_TIME_DRAINING - server->now;
  return left > 0 ? left : 0;
}

int64_t linger_time_again(const struct connection *connection) {
  return connection_server(connection)->is_draining ? LINGER_TIME_DRAINING : LINGER_TIME;
}

/* For how many ms the peer may take no byte of its last response. */
static int64_t patience(const struct connection *connection) {
  const struct service *service = connection->listener->service;
  int64_t timeout = service->handler->limits.write_timeout;
  if (service->server->is_draining || (timeout > 0 && timeout < LINGER_TIME)) return LINGER_TIME;
  return timeout > 0 ? timeout : CLOCK_NEVER;
}

int64_t linger_look(struct connection *connection) {
  int64_t now = connection_server(connection)->now;
  size_t before = connection->unacknowledged;
  size_t left = connection->unacknowledged = transport_unacknowledged(&connection->transport);
  bool was_slow = connection->is_slow;
  connection->is_slow = left > 0;
  if (left < before) connection->delivered_at = now;
  bool has_time = left > 0 ? now - connection->delivered_at < patience(connection) : was_slow;
  return has_time ? linger_time_again(connection) : 0;
}
