#include "server/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/connection_internal.h"
#include "server/hooks.h"
#include "server/idle.h"
#include "server/linger.h"
#include "server/opening.h"
#include "server/peer_watch.h"
#include "server/recording.h"
#include "server/transfer.h"
#include "server/tunnel.h"
#include "session/tunnel.h"

static void ignore(struct event_handler *event_handler, unsigned events) {
  (void)event_handler;
  (void)events;
}

/* A timer that is set for an earlier time stays set: when it expires, expire_and_resume() computes
 * the deadline anew. So a deadline that moves away, as nearly all do, costs nothing. */
static void schedule(struct connection *connection, int64_t when) {
  struct timer *timer = &connection->timer;
  if (timer->place != 0 && timer->when <= when) return;
  if (when != CLOCK_NEVER) timer_set(&connection_server(connection)->world->timers, timer, when);
}

/* ---- what the server counts ---------------------------------------------------------------- */

/* server->more_files is the sum over all connections. */
static void count_files(struct connection *connection, size_t files) {
  struct service *service = connection->listener->service;
  size_t more = files > 1 ? files - 1 : 0;
  if (files > 0) service->has_files = true;
  bool is_fewer = more < connection->more_files;
  service->server->more_files += more - connection->more_files;
  connection->more_files = (uint32_t)more;
  if (is_fewer) service->server->has_room_again = true;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void unlink_connection(struct connection *connection) {
  struct server *server = connection_server(connection);
  if (connection->previous)
    connection->previous->next = connection->next;
  else
    server->connections = connection->next;
  if (server->next_to_migrate == connection) server->next_to_migrate = connection->next;
  if (connection->next) connection->next->previous = connection->previous;
}

void connection_end(struct connection *connection, bool reset) {
  struct service *service = connection->listener->service;
  struct server *server = service->server;
  if (!connection->is_unpolled) poller_remove(server->poller, connection->transport.fd);
  if (connection->lookup) resolver_lookup_cancel(connection->lookup);
  timer_cancel(&server->world->timers, &connection->timer);
  ready_remove(&server->world->ready, &connection->turn);
  transport_close(&connection->transport, reset);
  if (connection->is_counted) peers_remove(&service->peers, &connection->peer);
  connection->phase = PHASE_ENDED;
  connection->event_handler.on_event = ignore;
  unlink_connection(connection);
  connection->next = server->ended;
  server->ended = connection;
  service->connections--;
  server->connection_count--;
  server->has_room_again = true;
}

void connection_log_peer(const struct connection *connection, struct log_line *line) {
  struct session_identity who;
  hooks_identify(connection, &who);
  log_text(line, "service", who.service);
  log_text(line, "peer", who.host);
  log_integer(line, "port", who.port);
}

static void log_closed(struct connection *connection, const char *reason, uint64_t requests) {
  struct log_line line;
  if (!log_begin(&line, LOG_DEBUG, "closed")) return;
  connection_log_peer(connection, &line);
  log_text(&line, "reason", reason);
  log_integer(&line, "requests", (int64_t)requests);
  log_end(&line);
}

/* Unlike schedule(), this also moves a timer that is set for an earlier time: for a deadline of the
 * session, which has ended. */
static void linger_for(struct connection *connection, int64_t time) {
  struct server *server = connection_server(connection);
  if (timer_set(&server->world->timers, &connection->timer, server->now + time) != STATUS_OK)
    connection_end(connection, false);
}

static void poll_lingering(struct connection *connection) {
  peer_watch_poll(connection,
                  (connection->peer_ended ? 0u : POLLER_READ) |
                      (transport_is_blocked(&connection->transport) ? POLLER_WRITE : 0u));
}

void connection_linger(struct connection *connection, int64_t time) {
  connection->phase = PHASE_LINGERING;
  transport_shutdown_write(&connection->transport);
  poll_lingering(connection);
  connection->unacknowledged = transport_unacknowledged(&connection->transport);
  connection->delivered_at = connection_server(connection)->now;
  linger_for(connection, time);
}

/* The session has ended: destroys it, and closes the socket or lets it linger. */
static void finish(struct connection *connection) {
  struct service *service = connection->listener->service;
  struct server *server = service->server;
  enum reason reason = session_reason(connection->session);
  uint64_t requests = session_requests(connection->session);
  int64_t idle_since = session_idle_since(connection->session);
  bool is_tunnel_cut = session_is_cut(connection->session);
  char word[SESSION_WORD_MAX + 1]; /* The reason, which may be the session's own word. */
  snprintf(word, sizeof word, "%s", session_reason_text(connection->session));
  if (connection->recording && connection->phase == PHASE_HANDSHAKE)
    recording_fails_to_secure(connection->recording);
  if (connection->recording) recording_finish(&connection->recording, connection->session);
  session_destroy(connection->session, server->now);
  connection->session = NULL;
  connection_count_buffered(connection, 0);
  ready_remove(&server->world->ready, &connection->turn);
  count_files(connection, 0);
  idle_note_work(server); /* This may have been the last session of an old handler. */
  service->ended[reason]++;
  service->requests += requests;
  log_closed(connection, word, requests);
  /* The socket is closed with a reset, so that the peer does not take a cut response for a whole
   * one. */
  bool is_broken = reason == REASON_PEER_RESET || reason == REASON_WRITE_TIMEOUT ||
                   reason == REASON_SLOW_READER || connection->is_cut || is_tunnel_cut;
  int64_t time = linger_time(connection, reason, idle_since);
  bool is_over = connection->peer_ended && !transport_is_blocked(&connection->transport);
  if (is_broken || is_over || reason == REASON_STOPPED || time == 0)
    connection_end(connection, is_broken);
  else
    connection_linger(connection, time);
}

static void linger_on(struct connection *connection) {
  int64_t time = linger_look(connection);
  if (time > 0)
    linger_for(connection, time);
  else
    connection_end(connection, false);
}

/* Reads what a lingering peer still sends, and throws it away. It may still take bytes when it has
 * stopped sending. */
static void linger(struct connection *connection) {
  size_t length;
  struct server *server = connection_server(connection);
  enum status flushed = transport_flush(&connection->transport);
  enum status status =
      socket_read(connection->transport.fd, server->scratch, sizeof server->scratch, &length);
  if (status == STATUS_CLOSED) connection->peer_ended = true;
  bool is_over = connection->peer_ended && flushed == STATUS_OK;
  if (is_over || status == STATUS_ERROR || flushed == STATUS_ERROR)
    connection_end(connection, false);
  else
    poll_lingering(connection);
}

/* ---- events -------------------------------------------------------------------------------- */

static unsigned interest_of(const struct connection *connection) {
  if (connection->tunnel) return tunnel_interest(connection);
  return (session_wants_input(connection->session) ? POLLER_READ : 0u) |
         (session_has_output(connection->session) || transport_is_blocked(&connection->transport)
              ? POLLER_WRITE
              : 0u);
}

void connection_settle(struct connection *connection) {
  struct server *server = connection_server(connection);
  bool has_more = transfer_send(connection);
  if (server->is_draining && !session_finished(connection->session))
    has_more = transfer_drain(connection) || has_more;
  if (session_finished(connection->session)) {
    finish(connection);
    return;
  }
  if (session_is_securing(connection->session)) {
    opening_secure(connection);
    return;
  }
  size_t buffered = session_memory(connection->session);
  size_t files = session_files(connection->session);
  if (session_has_said_all(connection->session)) transfer_shutdown(connection);
  if (buffered != connection->buffered) connection_count_buffered(connection, buffered);
  if (files > 0 || connection->more_files > 0) count_files(connection, files);
  unsigned interest = interest_of(connection);
  bool writes = (interest & POLLER_WRITE) != 0;
  peer_watch_poll(connection, interest);
  if (writes && !connection->tunnel) transfer_check_delivery(connection);
  bool is_pending = transport_has_pending(&connection->transport) && (interest & POLLER_READ);
  if (has_more || is_pending || session_wants_turn(connection->session))
    connection_queue_turn(connection);
  else {
    int64_t look = peer_watch_deadline(connection);
    int64_t when = writes ? transfer_next_check(connection) : session_deadline(connection->session);
    schedule(connection, look < when ? look : when);
  }
}

static void on_event(struct event_handler *event_handler, unsigned events) {
  struct connection *connection = (struct connection *)event_handler;
  if (connection->phase == PHASE_LINGERING) {
    linger(connection);
    return;
  }
  if (connection->phase < PHASE_TALKING) {
    opening_take(connection);
    return;
  }
  if (connection->tunnel && (events & (POLLER_READ | POLLER_WRITE)))
    tunnel_take(connection, events);
  else if ((events & (POLLER_READ | POLLER_GONE)) && session_wants_input(connection->session))
    transfer_receive(connection);
  else
    peer_watch_take(connection, events);
  connection_settle(connection);
}

/* Applies the limits of time that are over, and resumes the session. transfer_catch_up() may have
 * aborted the session: the recording has looked at it before the abort, and must not look again. */
static void expire_and_resume(struct connection *connection) {
  struct session *session = connection->session;
  if (connection->tunnel && session_deadline(session) <= connection_server(connection)->now)
    tunnel_take(connection, POLLER_READ | POLLER_WRITE);
  transfer_catch_up(connection);
  if (!session_finished(session)) {
    if (session_has_output(session) ||
        session_deadline(session) <= connection_server(connection)->now)
      transfer_check_delivery(connection);
    if (connection->recording) recording_look(&connection->recording, session);
    session_expire(session, connection_server(connection)->now);
    if (connection->recording) recording_expired(&connection->recording, session);
    session_resume(session, connection_server(connection)->now);
  }
  connection_settle(connection);
}

static void expire_timer(struct timer *timer) {
  struct connection *connection =
      (struct connection *)((char *)timer - offsetof(struct connection, timer));
  if (connection->phase == PHASE_LINGERING)
    linger_on(connection);
  else if (connection->phase < PHASE_TALKING)
    opening_expire(connection);
  else {
    peer_watch_look(connection);
    if (!ready_is_queued(&connection->turn)) /* else take_turn() does it soon */
      expire_and_resume(connection);
  }
}

static void take_turn(struct ready *entry) {
  struct connection *connection =
      (struct connection *)((char *)entry - offsetof(struct connection, turn));
  if (connection->phase == PHASE_HANDSHAKE)
    opening_turn(connection);
  else if (connection->only_sends)
    connection_settle(connection);
  else {
    if (transport_has_pending(&connection->transport) && session_wants_input(connection->session))
      transfer_receive(connection);
    expire_and_resume(connection);
  }
}

/* ---- the beginning ------------------------------------------------------------------------- */

void connection_talk(struct connection *connection) {
  struct service *service = connection->listener->service;
  struct server *server = service->server;
  connection->phase = PHASE_TALKING;
  if (connection->session) {
    if (connection->recording) recording_secures(&connection->recording, connection->session);
    session_secured(connection->session, server->now);
    connection_settle(connection);
    return;
  }
  connection->time_left = 0; /* A later handshake has a time of its own. */
  connection->session = session_create(service->handler, &connection->owner, server->now);
  if (!connection->session) {
    opening_refuse(connection, "not enough memory");
    return;
  }
  if (server->recording_writer)
    recording_begin(&connection->recording, service, connection->session);
  if (connection->recording) recording_secures(&connection->recording, connection->session);
  session_start(connection->session, server->now);
  connection_settle(connection);
}

static struct connection *create(struct listener *listener, int fd, const struct sockaddr *peer) {
  struct service *service = listener->service;
  struct server *server = service->server;
  struct connection *connection = calloc(1, sizeof *connection);
  if (!connection) return NULL;
  address_copy_peer(peer, &connection->peer);
  connection->event_handler.on_event = on_event;
  connection->timer.expire = expire_timer;
  connection->turn.run = take_turn;
  connection->owner.hooks = &service->hooks;
  connection->listener = listener;
  transport_init(&connection->transport, fd);
  connection->is_unpolled = true;
  connection->next = server->connections;
  if (server->connections) server->connections->previous = connection;
  server->connections = connection;
  service->connections++;
  server->connection_count++;
  return connection;
}

void connection_open(struct listener *listener, int fd, const struct sockaddr *peer) {
  struct connection *connection = create(listener, fd, peer);
  if (!connection) {
    log_event(LOG_ERROR, "refused", "detail", "not enough memory");
    socket_close(fd, false);
    return;
  }
  opening_begin(connection);
}

void connection_drain(struct connection *connection) {
  if (connection->phase < PHASE_TALKING)
    opening_drain(connection);
  else if (connection->phase == PHASE_TALKING)
    connection_settle(connection);
  else
    schedule(connection, connection_server(connection)->now + linger_time_again(connection));
}

/* The new handler may have other limits of time. */
void connection_migrate(struct connection *connection) {
  if (connection->phase != PHASE_TALKING) return;
  session_migrate(connection->session, connection_server(connection)->now);
  idle_note_work(connection_server(connection));
  schedule(connection, session_deadline(connection->session));
}

void connection_abort(struct connection *connection, bool tells) {
  if (connection->session) {
    if (!tells) session_abandon(connection->session);
    transfer_abort(connection, REASON_STOPPED);
    finish(connection);
  } else if (connection->phase < PHASE_TALKING)
    opening_end(connection, REASON_STOPPED);
  else
    connection_end(connection, false);
}

void connection_claim(struct connection *connection) {
  if (connection->phase != PHASE_TALKING) return;
  session_claim(connection->session);
  connection_count_buffered(connection, session_memory(connection->session));
}

size_t connection_buffered(const struct connection *connection) { return connection->buffered; }

void connection_refuse(struct connection *connection) {
  if (connection->phase != PHASE_TALKING) return;
  if (connection->recording) recording_look(&connection->recording, connection->session);
  if (session_refuse(connection->session, connection_server(connection)->now))
    connection->is_cut = true;
  connection_settle(connection);
}

struct connection *connection_next(const struct connection *connection) {
  return connection->next;
}

void connection_free_ended(struct server *server) {
  while (server->ended) {
    struct connection *connection = server->ended;
    server->ended = connection->next;
    free(connection->name);
    free(connection->proxied);
    free(connection);
  }
}
