#include "server/opening.h"

#include <errno.h>
#include <string.h>

#include "server/connection.h"
#include "server/peer_watch.h"
#include "server/proxied.h"
#include "server/transfer.h"

enum { ALERT_TIME = 1000 /* ms that a peer has for taking the alert of a failed handshake. */ };

/* A session that waits for its security ends as any other does. */
static void end_session(struct connection *connection, enum reason reason) {
  transfer_abort(connection, reason);
  connection_settle(connection);
}

void opening_end(struct connection *connection, enum reason reason) {
  if (connection->session) {
    end_session(connection, reason);
    return;
  }
  connection->listener->service->ended[reason]++;
  connection_end(connection, false);
}

static void refuse(struct connection *connection, enum log_level level, struct log_limit *limit,
                   const char *detail) {
  struct log_line line;
  if (log_begin_limited(&line, level, "refused", limit, connection_server(connection)->now)) {
    connection_log_peer(connection, &line);
    log_integer(&line, "descriptor", connection->transport.fd);
    log_text(&line, "detail", detail);
    log_end(&line);
  }
  opening_end(connection, REASON_STOPPED);
}

void opening_refuse(struct connection *connection, const char *detail) {
  refuse(connection, LOG_ERROR, &connection->listener->service->refusals, detail);
}

/* From here on the poller reports what the peer does. False: the connection has ended. */
static bool watch(struct connection *connection) {
  if (!connection->is_unpolled) return true;
  struct poller *poller = connection_server(connection)->poller;
  int fd = connection->transport.fd;
  switch (poller_add(poller, fd, POLLER_READ, &connection->event_handler)) {
  case STATUS_OK: break;
  case STATUS_FULL:
    opening_refuse(connection, "the poller cannot hold a descriptor of this number");
    return false;
  default: opening_refuse(connection, "the poller has no memory for it"); return false;
  }
  connection->is_unpolled = false;
  connection->interest = POLLER_READ;
  return true;
}

static void begin_naming(struct connection *connection);
static void begin_handshake(struct connection *connection);

/* The work of a phase is done: begins the next one that the connection needs. */
static void advance(struct connection *connection) {
  switch (connection->phase) {
  case PHASE_PROXIED: begin_naming(connection); break;
  case PHASE_NAMING:
    if (!watch(connection)) break;
    if (connection->listener->is_tls)
      begin_handshake(connection);
    else
      connection_talk(connection);
    break;
  case PHASE_HANDSHAKE: connection_talk(connection); break;
  default: break;
  }
}

/* Counts the connection for its peer. False: the peer has too many, and this one has ended. */
static bool count_peer(struct connection *connection) {
  struct service *service = connection->listener->service;
  if (service->max_connections_per_peer == 0) return true;
  switch (peers_add(&service->peers, &connection->peer, service->max_connections_per_peer)) {
  case STATUS_OK: connection->is_counted = true; return true;
  case STATUS_FULL:
    refuse(connection, LOG_WARN, &service->crowds, "the peer has max_connections_per_peer already");
    return false;
  default: opening_refuse(connection, "not enough memory"); return false;
  }
}

/* ---- PHASE_PROXIED ------------------------------------------------------------------------- */

/* The header must be whole within the time of a request. */
static void await_header(struct connection *connection) {
  struct server *server = connection_server(connection);
  int64_t time = connection->listener->service->handler->limits.request_timeout;
  if (!connection->is_unpolled || !watch(connection) || time == 0) return;
  if (timer_set(&server->world->timers, &connection->timer, server->now + time) != STATUS_OK)
    opening_refuse(connection, "not enough memory");
}

/* The handshake of a listener with TLS has the rest of the time. */
static void stop_time(struct connection *connection) {
  struct server *server = connection_server(connection);
  struct timer *timer = &connection->timer;
  timer_cancel(&server->world->timers, timer);
  if (timer->when > 0 && connection->listener->is_tls)
    connection->time_left = timer->when > server->now ? timer->when - server->now : 1;
}

static void read_header(struct connection *connection) {
  switch (proxied_read(connection)) {
  case PROXIED_WAITS: await_header(connection); return;
  case PROXIED_CLIENT:
    if (!count_peer(connection)) return;
    break;
  case PROXIED_NOBODY: break;
  case PROXIED_REFUSED: opening_end(connection, REASON_MALFORMED); return;
  case PROXIED_GONE: opening_end(connection, REASON_PEER_CLOSED); return;
  case PROXIED_NO_MEMORY: opening_refuse(connection, "not enough memory"); return;
  }
  stop_time(connection);
  advance(connection);
}

/* The header has often come with the connection. */
static void begin_proxied(struct connection *connection) {
  connection->phase = PHASE_PROXIED;
  read_header(connection);
}

/* ---- PHASE_NAMING -------------------------------------------------------------------------- */

static void on_name(void *context, const char *name) {
  struct connection *connection = context;
  connection->lookup = NULL;
  if (name) connection->name = strdup(name);
  advance(connection);
}

/* Meanwhile the poller must not have the socket, which nobody reads. */
static void begin_naming(struct connection *connection) {
  struct server *server = connection_server(connection);
  connection->phase = PHASE_NAMING;
  if (!server->resolver) {
    advance(connection);
    return;
  }
  if (!connection->is_unpolled) poller_remove(server->poller, connection->transport.fd);
  connection->is_unpolled = true;
  if (resolver_lookup_start(server->resolver, &connection->peer.any, on_name, connection,
                            &connection->lookup) != STATUS_OK)
    on_name(connection, NULL);
}

/* ---- PHASE_HANDSHAKE ----------------------------------------------------------------------- */

static void begin_handshake(struct connection *connection) {
  struct service *service = connection->listener->service;
  struct server *server = service->server;
  int64_t timeout =
      connection->time_left > 0 ? connection->time_left : service->handler->limits.request_timeout;
  connection->phase = PHASE_HANDSHAKE;
  timer_cancel(&server->world->timers, &connection->timer);
  connection->transport.tls = tls_accept(service->tls, connection->transport.fd);
  if (!connection->transport.tls ||
      (timeout > 0 &&
       timer_set(&server->world->timers, &connection->timer, server->now + timeout) != STATUS_OK))
    opening_refuse(connection, "not enough memory");
}

/* Somebody who connects and leaves, such as a check of the server's health, is no failure. */
static void log_failure(struct connection *connection, const char *detail) {
  struct service *service = connection->listener->service;
  struct log_line line;
  bool has_spoken = tls_has_heard(connection->transport.tls);
  if (has_spoken ? !log_begin_limited(&line, LOG_WARN, "handshake_failed",
                                      &service->failures.of_peers, service->server->now)
                 : !log_begin(&line, LOG_DEBUG, "handshake_failed"))
    return;
  connection_log_peer(connection, &line);
  log_text(&line, "detail", detail);
  log_end(&line);
}

/* The peer may still be sending: if the socket was closed at once, it could lose the alert. */
static void fail_handshake(struct connection *connection, enum reason reason) {
  log_failure(connection, tls_why(connection->transport.tls));
  if (connection->session) {
    end_session(connection, reason);
    return;
  }
  connection->listener->service->ended[reason]++;
  if (reason == REASON_MALFORMED && !connection_server(connection)->is_draining)
    connection_linger(connection, ALERT_TIME);
  else
    connection_end(connection, reason == REASON_PEER_RESET);
}

static void shake_hands(struct connection *connection) {
  struct transport *transport = &connection->transport;
  enum status status = transport_flush(transport);
  if (status != STATUS_ERROR) status = tls_handshake(transport->tls);
  switch (status) {
  case STATUS_OK: advance(connection); break;
  case STATUS_AGAIN:
    peer_watch_poll(connection,
                    POLLER_READ | (transport_is_blocked(transport) ? POLLER_WRITE : 0u));
    break;
  case STATUS_CLOSED: fail_handshake(connection, REASON_PEER_CLOSED); break;
  default: fail_handshake(connection, errno == EPROTO ? REASON_MALFORMED : REASON_PEER_RESET);
  }
}

void opening_secure(struct connection *connection) {
  begin_handshake(connection);
  if (connection->phase == PHASE_HANDSHAKE) shake_hands(connection);
}

/* What is pushed to it waits. */
void opening_turn(struct connection *connection) {
  struct session *session = connection->session;
  if (!session_wants_turn(session)) return;
  session_resume(session, connection_server(connection)->now);
  if (session_finished(session)) connection_settle(connection);
}

/* -------------------------------------------------------------------------------------------- */

void opening_begin(struct connection *connection) {
  const struct cidr_list *proxies = connection->listener->service->accept_proxy;
  if (proxies && cidr_list_has(proxies, &connection->peer))
    begin_proxied(connection);
  else if (count_peer(connection))
    begin_naming(connection);
}

void opening_take(struct connection *connection) {
  if (connection->phase == PHASE_PROXIED)
    read_header(connection);
  else if (connection->phase == PHASE_HANDSHAKE)
    shake_hands(connection);
}

/* What came while the server was busy counts: it may have ended the phase, and then the time is
 * that of the next one. */
void opening_expire(struct connection *connection) {
  enum phase phase = connection->phase;
  opening_take(connection);
  if (connection->phase != phase) return;
  if (connection->phase == PHASE_PROXIED)
    proxied_log_timeout(connection);
  else
    log_failure(connection, "it did not get complete within request_timeout");
  opening_end(connection, REASON_REQUEST_TIMEOUT);
}

void opening_drain(struct connection *connection) {
  opening_take(connection);
  if (connection->phase < PHASE_TALKING)
    opening_end(connection, connection->session ? REASON_DRAINED : REASON_STOPPED);
}
