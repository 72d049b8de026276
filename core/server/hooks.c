#include "server/hooks.h"

#include <stdlib.h>

#include "server/connection_internal.h"
#include "server/idle.h"
#include "server/proxied.h"
#include "server/tunnel.h"

enum { ASK_PAUSE = 1 /* ms: see ask_pause of struct session_hooks. */ };

/* A session calls this when its handler has run, which may have taken long. */
static int64_t tell_time(struct session_owner *owner) {
  struct server *server = connection_server(connection_of_owner(owner));
  server_update_clock(server);
  idle_note_work(server);
  return server->now;
}

/* What the handler waits for has come. */
static void wake(struct session_owner *owner) { connection_queue_turn(connection_of_owner(owner)); }

static bool has_room(struct session_owner *owner, size_t length) {
  const struct server *server = connection_server(connection_of_owner(owner));
  return server->buffered <= server->max_buffered &&
         length <= server->max_buffered - server->buffered;
}

/* The bytes count at once, so that one call of a script cannot fill the memory with them. */
static void on_output(struct session_owner *owner) {
  struct connection *connection = connection_of_owner(owner);
  connection_count_buffered(connection, session_memory(connection->session));
  if (ready_is_queued(&connection->turn)) return;
  connection_queue_turn(connection);
  connection->only_sends = true;
}

/* The handshake may still fail. */
static bool has_tls(const struct connection *connection) {
  return connection->transport.tls && connection->phase != PHASE_HANDSHAKE;
}

static const char *transport_name(const struct connection *connection) {
  if (has_tls(connection)) return "tls";
  return connection->listener->is_unix ? "unix" : "tcp";
}

void hooks_identify(const struct connection *connection, struct session_identity *identity) {
  char *host = connection_server(connection)->peer_host;
  unsigned port;
  address_numeric(&connection->peer.any, host, &port);
  *identity = (struct session_identity){.service = connection->listener->service->name,
                                        .host = host,
                                        .name = connection->name ? connection->name : host,
                                        .port = port,
                                        .server_host = connection->listener->host,
                                        .server_port = connection->listener->port,
                                        .transport = transport_name(connection),
                                        .can_secure = !connection->transport.tls &&
                                                      connection->listener->service->tls};
  if (connection->proxied) proxied_identify(connection, identity);
}

/* The text of an address is made only when it is asked for: for most peers it never is. */
static void identify(struct session_owner *owner, struct session_identity *identity) {
  hooks_identify(connection_of_owner(owner), identity);
}

/* The text is the server's until it is asked for the next one. */
static enum status describe_tls(struct session_owner *owner, struct span *text) {
  const struct connection *connection = connection_of_owner(owner);
  struct server *server = connection_server(connection);
  if (!has_tls(connection)) return STATUS_CLOSED;
  free(server->tls_text);
  enum status status = tls_describe(connection->transport.tls, &server->tls_text, &text->length);
  text->data = server->tls_text;
  return status;
}

void hooks_set(struct service *service) {
  service->hooks = (struct session_hooks){.identify = identify,
                                          .failures = &service->failures,
                                          .ask_pause = ASK_PAUSE,
                                          .held = &service->server->held,
                                          .now = tell_time,
                                          .wake = wake,
                                          .has_room = has_room,
                                          .on_output = on_output,
                                          .describe_tls = describe_tls,
                                          .join = tunnel_join,
                                          .part = tunnel_part,
                                          .asks_later = true};
}
