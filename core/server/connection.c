#include "server/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/socket.h"
#include "server/idle.h"
#include "server/listener.h"
#include "server/recording.h"
#include "session/session.h"

enum {
  SPANS = 16,
  /* What one connection may send in a turn before the others get theirs. */
  TURN_BUDGET = 4 * 1024 * 1024,
  /* And how long that may take, in ms, when its pieces are slow to be made. */
  TURN_TIME = 20,
  /* How often it is read from in a turn to find out that nothing is left in hand, */
  DRAIN_READS = 16,
  /* and to find out what has come while the server was busy. */
  CATCH_UP_READS = 16,
  /* Looks at whether the peer still takes what it was sent, in a write_timeout. */
  LOOKS = 4,
  /* How long request_complete is not asked again while little is new, in ms. */
  ASK_PAUSE = 1,
  /* How long a peer may go on sending after we have finished, in ms. */
  LINGER_TIME = 5000,
  LINGER_TIME_DRAINING = 1000
};

enum phase { PHASE_NAMING, PHASE_TALKING, PHASE_LINGERING, PHASE_ENDED };

struct connection {
  struct event_handler event_handler; /* first: its address is the address of the connection */
  struct session_owner owner;
  struct session *session;
  struct listener *listener;
  struct connection *next;
  struct connection *previous;
  struct timer timer;
  struct ready turn; /* in the run queue: it goes on when the others have had their turn */
  struct resolver_lookup *lookup;
  char *name;                  /* NULL: not looked up, or there is none */
  struct recording *recording; /* NULL: it is not recorded */
  size_t more_files;           /* that its responses have open beyond one */
  size_t buffered;             /* what it is counted with in the server's sum */
  size_t unacknowledged;       /* bytes that the peer had not taken when that was last looked at */
  int64_t delivered_at;        /* lingering: when it last took some */
  int fd;
  unsigned interest : 8;
  enum phase phase : 8;
  bool peer_ended : 1;
  bool is_cut : 1;   /* what waited was given up: the peer must not take it for a whole response */
  bool has_sent : 1; /* the peer was given something */
  bool is_slow : 1;  /* lingering: it had not taken all when it was last looked at */
  union peer_address peer;
};

static struct server *server_of(const struct connection *connection) {
  return connection->listener->service->server;
}

static struct connection *of_owner(struct session_owner *owner) {
  return (struct connection *)((char *)owner - offsetof(struct connection, owner));
}

/* The clock is read again: calls into a script may take long. */
static int64_t tell_time(struct session_owner *owner) {
  struct server *server = server_of(of_owner(owner));
  server_update_clock(server);
  idle_note_work(server);
  return server->now;
}

static struct connection *of_timer(struct timer *timer) {
  return (struct connection *)((char *)timer - offsetof(struct connection, timer));
}

/* Its text is made when somebody asks for it: most peers are never named. */
static void identify(struct session_owner *owner, struct session_identity *identity) {
  const struct connection *connection = of_owner(owner);
  char *host = server_of(connection)->peer_host;
  unsigned port;
  address_numeric(&connection->peer.any, host, &port);
  *identity = (struct session_identity){.service = connection->listener->service->name,
                                        .host = host,
                                        .name = connection->name ? connection->name : host,
                                        .port = port,
                                        .server_host = connection->listener->host,
                                        .server_port = connection->listener->port};
}

static void ignore(struct event_handler *event_handler, unsigned events) {
  (void)event_handler;
  (void)events;
}

/* A timer is left where it is while it is early enough: when it fires, the deadline is looked at
 * anew. Most deadlines only move away, and cost nothing. */
static void schedule(struct connection *connection, int64_t when) {
  struct timer *timer = &connection->timer;
  if (timer->place != 0 && timer->when <= when) return;
  if (when != CLOCK_NEVER) timer_set(&server_of(connection)->timers, timer, when);
}

static void watch(struct connection *connection, unsigned interest) {
  if (interest == connection->interest) return;
  if (poller_change(server_of(connection)->poller, connection->fd, interest) == STATUS_OK)
    connection->interest = interest & 0xff;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void unlink_connection(struct connection *connection) {
  struct server *server = server_of(connection);
  if (connection->previous)
    connection->previous->next = connection->next;
  else
    server->connections = connection->next;
  if (server->to_move == connection) server->to_move = connection->next;
  if (connection->next) connection->next->previous = connection->previous;
}

/* The socket goes now; the memory when no event of this turn can name it any more. */
static void end(struct connection *connection, bool reset) {
  struct service *service = connection->listener->service;
  struct server *server = service->server;
  if (connection->phase == PHASE_NAMING)
    service->ended[REASON_STOPPED]++;
  else
    poller_remove(server->poller, connection->fd);
  if (connection->lookup) resolver_lookup_cancel(connection->lookup);
  timer_cancel(&server->timers, &connection->timer);
  ready_remove(&server->ready, &connection->turn);
  socket_close(connection->fd, reset);
  connection->fd = -1;
  connection->phase = PHASE_ENDED;
  connection->event_handler.on_event = ignore;
  unlink_connection(connection);
  connection->next = server->ended;
  server->ended = connection;
  service->connections--;
  server->connection_count--;
  listener_resume(server);
}

static void log_peer(struct connection *connection, struct log_line *line) {
  struct session_identity who;
  identify(&connection->owner, &who);
  log_text(line, "service", who.service);
  log_text(line, "peer", who.host);
  log_integer(line, "port", who.port);
}

static void log_end_of(struct connection *connection, enum reason reason, uint64_t requests) {
  struct log_line line;
  if (!log_begin(&line, LOG_DEBUG, "closed")) return;
  log_peer(connection, &line);
  log_text(&line, "reason", reason_name(reason));
  log_integer(&line, "requests", (int64_t)requests);
  log_end(&line);
}

/* ---- delivery ------------------------------------------------------------------------------ */

/* What was written lies in the kernel's buffer, often for long: a socket is writable again only
 * when much of that has come free. The peer takes it all the while, and that is its progress.
 * Without output there was no look when the last of it was written. */
static void look_at_delivery(struct connection *connection) {
  size_t before = connection->unacknowledged;
  size_t left = connection->unacknowledged = socket_unacknowledged(connection->fd);
  bool takes = session_has_output(connection->session) ? left < before : left > 0 && left != before;
  if (takes) session_delivered(connection->session, server_of(connection)->now);
}

/* When the next look is due while output waits. */
static int64_t next_look(const struct connection *connection) {
  const struct service *service = connection->listener->service;
  int64_t deadline = session_deadline(connection->session);
  int64_t timeout = service->handler->limits.write_timeout;
  if (timeout <= 0) return deadline; /* there is nothing to find out */
  int64_t look = service->server->now + timeout / LOOKS + 1;
  return look < deadline ? look : deadline;
}

/* Unlike schedule() this moves the timer also when it was earlier: it may have been set for an end
 * of the conversation that did not come. */
static void linger_for(struct connection *connection, int64_t time) {
  struct server *server = server_of(connection);
  if (timer_set(&server->timers, &connection->timer, server->now + time) != STATUS_OK)
    end(connection, false);
}

static void abort_session(struct connection *connection, enum reason reason) {
  if (connection->recording) recording_look(&connection->recording, connection->session);
  session_abort(connection->session, reason, server_of(connection)->now);
}

/* What it has in memory now: server->buffered is the sum over all connections. */
static void count_buffered(struct connection *connection, size_t buffered) {
  struct server *server = server_of(connection);
  server->buffered += buffered - connection->buffered;
  connection->buffered = buffered;
}

/* For how long, in ms, the peer may go on sending. When the server stops, an idle peer that was
 * sent nothing, or has had its last response for as long as others may linger, loses nothing if the
 * socket is closed at once. */
static int64_t time_to_linger(const struct connection *connection, enum reason reason,
                              int64_t idle_since) {
  const struct server *server = server_of(connection);
  if (!server->is_draining) return LINGER_TIME;
  if (reason != REASON_DRAINED) return LINGER_TIME_DRAINING;
  if (!connection->has_sent) return 0;
  if (socket_unacknowledged(connection->fd) > 0) return LINGER_TIME_DRAINING;
  int64_t left = idle_since + LINGER_TIME_DRAINING - server->now;
  return left > 0 ? left : 0;
}

/* server->more_files is the sum over all connections, too. */
static void count_files(struct connection *connection, size_t files) {
  struct service *service = connection->listener->service;
  size_t more = files > 1 ? files - 1 : 0;
  if (files > 0) service->has_files = true;
  bool is_fewer = more < connection->more_files;
  service->server->more_files += more - connection->more_files;
  connection->more_files = more;
  if (is_fewer) listener_resume(service->server);
}

/* The conversation is over: its session goes, the socket may have to linger. */
static void finish(struct connection *connection) {
  struct service *service = connection->listener->service;
  struct server *server = service->server;
  enum reason reason = session_reason(connection->session);
  uint64_t requests = session_requests(connection->session);
  int64_t idle_since = session_idle_since(connection->session);
  if (connection->recording) recording_finish(&connection->recording, connection->session);
  session_destroy(connection->session, server->now);
  connection->session = NULL;
  count_buffered(connection, 0);
  ready_remove(&server->ready, &connection->turn);
  count_files(connection, 0);
  idle_note_work(server); /* it may have been the last one of an old handler */
  service->ended[reason]++;
  service->requests += requests;
  log_end_of(connection, reason, requests);
  bool is_broken =
      reason == REASON_PEER_RESET || reason == REASON_WRITE_TIMEOUT || connection->is_cut;
  int64_t time = time_to_linger(connection, reason, idle_since);
  if (is_broken || connection->peer_ended || reason == REASON_STOPPED || time == 0) {
    end(connection, is_broken);
    return;
  }
  connection->phase = PHASE_LINGERING;
  socket_shutdown_write(connection->fd);
  watch(connection, POLLER_READ);
  connection->unacknowledged = socket_unacknowledged(connection->fd);
  connection->delivered_at = server->now;
  linger_for(connection, time);
}

/* How long it may take nothing of its last response. */
static int64_t patience(const struct connection *connection) {
  const struct service *service = connection->listener->service;
  int64_t timeout = service->handler->limits.write_timeout;
  if (service->server->is_draining || (timeout > 0 && timeout < LINGER_TIME)) return LINGER_TIME;
  return timeout > 0 ? timeout : CLOCK_NEVER;
}

/* It has lingered for a while. Whoever still takes the response gets it to its end, and then has
 * once more that time to stop sending. */
static void linger_on(struct connection *connection) {
  struct server *server = server_of(connection);
  size_t before = connection->unacknowledged;
  size_t left = connection->unacknowledged = socket_unacknowledged(connection->fd);
  bool was_slow = connection->is_slow;
  connection->is_slow = left > 0;
  if (left < before) connection->delivered_at = server->now;
  bool has_time =
      left > 0 ? server->now - connection->delivered_at < patience(connection) : was_slow;
  if (has_time)
    linger_for(connection, server->is_draining ? LINGER_TIME_DRAINING : LINGER_TIME);
  else
    end(connection, false);
}

static void linger(struct connection *connection) {
  size_t length;
  struct server *server = server_of(connection);
  enum status status =
      socket_read(connection->fd, server->scratch, sizeof server->scratch, &length);
  if (status == STATUS_CLOSED || status == STATUS_ERROR) end(connection, false);
}

/* ---- sending ------------------------------------------------------------------------------- */

static bool is_file_error(int error) {
  return error == EIO || error == EINVAL || error == EISDIR || error == EBADF || error == ENXIO ||
         error == EOVERFLOW;
}

/* Sends what is next. STATUS_AGAIN: the peer takes no more for now, or the session is over. */
static enum status send_next(struct connection *connection, size_t *budget) {
  struct session *session = connection->session;
  int64_t now = server_of(connection)->now;
  struct span spans[SPANS];
  struct session_output output;
  size_t sent = 0, wanted = 0;
  enum status status;
  session_output(session, spans, SPANS, &output);
  if (output.count > 0) {
    for (size_t i = 0; i < output.count; i++) wanted += spans[i].length;
    status = socket_write(connection->fd, spans, output.count, output.more, &sent);
  } else {
    assert(output.file >= 0); /* a stream that is next has been pulled */
    int64_t offset = output.offset;
    wanted = output.file_length < *budget ? output.file_length : *budget;
    status = socket_send_file(connection->fd, output.file, &offset, wanted, &sent);
  }
  if (status == STATUS_OK) {
    connection->has_sent = true;
    if (connection->recording)
      recording_sends(&connection->recording, session, spans, &output, sent);
    session_sent(session, sent, now);
    *budget -= sent < *budget ? sent : *budget;
    return sent < wanted ? STATUS_AGAIN : STATUS_OK;
  }
  if (status == STATUS_AGAIN) return status;
  if (output.count == 0 && (status == STATUS_CLOSED || is_file_error(errno)))
    session_file_failed(session, now);
  else
    abort_session(connection, REASON_PEER_RESET);
  return STATUS_OK;
}

/* Sends, and goes on with what waited for room, until the peer takes no more or the turn is used
 * up: then true, if what is left waits for nothing but the next turn. */
static bool flush(struct connection *connection) {
  struct session *session = connection->session;
  size_t budget = TURN_BUDGET;
  int64_t started = 0;
  while (session_has_output(session) && budget > 0) {
    enum status status = send_next(connection, &budget);
    if (session_wants_turn(session)) break;
    /* Also when the peer takes no more: what is there is answered before more of it is read. */
    session_resume(session, server_of(connection)->now);
    if (status != STATUS_OK) break;
    if (!session_has_output(session)) break; /* as nearly always: no clock need be read for it */
    server_update_clock(server_of(connection));
    if (started == 0) started = server_of(connection)->now;
    if (server_of(connection)->now - started >= TURN_TIME) return true;
  }
  return session_wants_turn(session);
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* Reads once, and hands on what came. STATUS_AGAIN: nothing is there now. */
static enum status receive(struct connection *connection) {
  struct server *server = server_of(connection);
  struct session *session = connection->session;
  struct span space;
  size_t length;
  if (!session_space(session, &space))
    space = (struct span){server->scratch, sizeof server->scratch};
  else if (space.length > sizeof server->scratch)
    space.length = sizeof server->scratch;
  enum status status = socket_read(connection->fd, (char *)space.data, space.length, &length);
  if (status == STATUS_OK) {
    space.length = length;
    if (connection->recording) recording_receives(&connection->recording, session, space);
    session_receive(session, space.data, length, server->now);
  } else if (status == STATUS_CLOSED) {
    connection->peer_ended = true;
    if (connection->recording) recording_receives_end(&connection->recording, session);
    session_receive_end(session, server->now);
  } else if (status != STATUS_AGAIN)
    abort_session(connection, REASON_PEER_RESET);
  return status;
}

/* What has arrived before the server was asked to stop is in hand: the conversation may end only
 * when nothing more is to be read. Returns what the last flush() did. */
static bool read_in_hand(struct connection *connection) {
  struct session *session = connection->session;
  bool has_more = false;
  for (int reads = 0; reads < DRAIN_READS && session_wants_input(session); reads++) {
    if (receive(connection) == STATUS_AGAIN) session_drain(session, server_of(connection)->now);
    has_more = flush(connection);
    if (session_finished(session)) break;
  }
  return has_more;
}

static void settle(struct connection *connection) {
  struct server *server = server_of(connection);
  bool has_more = flush(connection);
  if (server->is_draining && !session_finished(connection->session))
    has_more = read_in_hand(connection) || has_more;
  if (session_finished(connection->session)) {
    finish(connection);
    return;
  }
  size_t buffered = session_memory(connection->session);
  size_t files = session_files(connection->session);
  if (buffered != connection->buffered) count_buffered(connection, buffered);
  if (files > 0 || connection->more_files > 0) count_files(connection, files);
  bool reads = session_wants_input(connection->session);
  bool writes = session_has_output(connection->session);
  watch(connection, (reads ? POLLER_READ : 0u) | (writes ? POLLER_WRITE : 0u));
  if (writes) look_at_delivery(connection);
  /* A conversation that has had its share of this turn goes on in one of the next. */
  if (has_more || session_wants_turn(connection->session))
    ready_add(&server->ready, &connection->turn);
  else
    schedule(connection, writes ? next_look(connection) : session_deadline(connection->session));
}

/* ---- events -------------------------------------------------------------------------------- */

static void ready(struct event_handler *event_handler, unsigned events) {
  struct connection *connection = (struct connection *)event_handler;
  if (connection->phase == PHASE_LINGERING) {
    linger(connection);
    return;
  }
  if ((events & (POLLER_READ | POLLER_GONE)) && session_wants_input(connection->session))
    receive(connection);
  else if ((events & POLLER_GONE) && connection->interest == POLLER_NONE)
    abort_session(connection, REASON_PEER_RESET);
  settle(connection);
}

/* The server may have been busy for long: what the peer has done meanwhile counts, though no event
 * has told of it yet. */
static void catch_up(struct connection *connection) {
  struct server *server = server_of(connection);
  struct session *session = connection->session;
  for (int reads = 0; reads < CATCH_UP_READS; reads++) {
    if (session_deadline(session) > server->now || !session_wants_input(session)) break;
    if (receive(connection) != STATUS_OK) break;
  }
  if (session_deadline(session) <= server->now && session_has_output(session))
    (void)flush(connection);
}

/* Whatever limit of time has run out, does. Then it goes on. */
static void go_on(struct connection *connection) {
  catch_up(connection);
  look_at_delivery(connection);
  if (connection->recording) recording_look(&connection->recording, connection->session);
  session_expire(connection->session, server_of(connection)->now);
  if (connection->recording) recording_expired(&connection->recording, connection->session);
  session_resume(connection->session, server_of(connection)->now);
  settle(connection);
}

/* Who waits for a stream that has nothing is not listened to, and not every poller tells then that
 * the peer is gone. */
static bool has_lost_peer(const struct connection *connection) {
  return connection->phase == PHASE_TALKING && connection->interest == POLLER_NONE &&
         socket_is_gone(connection->fd);
}

static void expire_timer(struct timer *timer) {
  struct connection *connection = of_timer(timer);
  if (has_lost_peer(connection)) abort_session(connection, REASON_PEER_RESET);
  if (connection->phase == PHASE_LINGERING)
    linger_on(connection);
  else if (!ready_is_queued(
               &connection->turn)) /* else its turn comes, and with it a look at the time */
    go_on(connection);
}

static void take_turn(struct ready *entry) {
  go_on((struct connection *)((char *)entry - offsetof(struct connection, turn)));
}

/* ---- the beginning ------------------------------------------------------------------------- */

static void refuse(struct connection *connection, const char *detail) {
  struct service *service = connection->listener->service;
  struct log_line line;
  if (log_begin_limited(&line, LOG_ERROR, "refused", &service->refusals, service->server->now)) {
    log_peer(connection, &line);
    log_integer(&line, "descriptor", connection->fd);
    log_text(&line, "detail", detail);
    log_end(&line);
  }
  end(connection, false);
}

static void talk(struct connection *connection) {
  struct service *service = connection->listener->service;
  struct server *server = service->server;
  switch (poller_add(server->poller, connection->fd, POLLER_READ, &connection->event_handler)) {
  case STATUS_OK: break;
  case STATUS_FULL:
    refuse(connection, "the poller cannot hold a descriptor of this number");
    return;
  default: refuse(connection, "the poller has no memory for it"); return;
  }
  connection->interest = POLLER_READ;
  connection->phase = PHASE_TALKING;
  connection->session = session_create(service->handler, &connection->owner, server->now);
  if (!connection->session) {
    refuse(connection, "not enough memory");
    return;
  }
  if (server->recorder) connection->recording = recording_begin(service);
  session_start(connection->session, server->now);
  settle(connection);
}

static void named(void *context, const char *name) {
  struct connection *connection = context;
  connection->lookup = NULL;
  if (name) connection->name = strdup(name);
  talk(connection);
}

static struct connection *create(struct listener *listener, int fd, const struct sockaddr *peer) {
  struct service *service = listener->service;
  struct server *server = service->server;
  struct connection *connection = calloc(1, sizeof *connection);
  if (!connection) return NULL;
  address_copy_peer(peer, &connection->peer);
  connection->event_handler.on_event = ready;
  connection->timer.expire = expire_timer;
  connection->turn.run = take_turn;
  connection->owner = (struct session_owner){.identify = identify,
                                             .failures = &service->failures,
                                             .ask_pause = ASK_PAUSE,
                                             .held = &server->held,
                                             .now = tell_time,
                                             .asks_later = true};
  connection->listener = listener;
  connection->fd = fd;
  connection->phase = PHASE_NAMING;
  connection->next = server->connections;
  if (server->connections) server->connections->previous = connection;
  server->connections = connection;
  service->connections++;
  server->connection_count++;
  return connection;
}

void connection_open(struct listener *listener, int fd, const struct sockaddr *peer) {
  struct server *server = listener->service->server;
  struct connection *connection = create(listener, fd, peer);
  if (!connection) {
    log_event(LOG_ERROR, "refused", "detail", "not enough memory");
    socket_close(fd, false);
    return;
  }
  if (!server->resolver)
    talk(connection);
  else if (resolver_lookup_start(server->resolver, peer, named, connection, &connection->lookup) !=
           STATUS_OK)
    named(connection, NULL);
}

void connection_drain(struct connection *connection) {
  if (connection->phase == PHASE_NAMING)
    end(connection, false);
  else if (connection->phase == PHASE_TALKING)
    settle(connection);
  else
    schedule(connection, server_of(connection)->now + LINGER_TIME_DRAINING);
}

/* The new handler may have other limits of time. */
void connection_move(struct connection *connection) {
  if (connection->phase != PHASE_TALKING) return;
  session_migrate(connection->session, server_of(connection)->now);
  idle_note_work(server_of(connection));
  schedule(connection, session_deadline(connection->session));
}

void connection_abort(struct connection *connection, bool tells) {
  if (connection->phase == PHASE_TALKING) {
    if (!tells) session_abandon(connection->session);
    abort_session(connection, REASON_STOPPED);
    finish(connection);
  } else
    end(connection, false);
}

void connection_claim(struct connection *connection) {
  if (connection->phase != PHASE_TALKING) return;
  session_claim(connection->session);
  count_buffered(connection, session_memory(connection->session));
}

size_t connection_buffered(const struct connection *connection) { return connection->buffered; }

void connection_refuse(struct connection *connection) {
  if (connection->phase != PHASE_TALKING) return;
  if (connection->recording) recording_look(&connection->recording, connection->session);
  if (session_refuse(connection->session, server_of(connection)->now)) connection->is_cut = true;
  settle(connection);
}

struct connection *connection_next(const struct connection *connection) {
  return connection->next;
}

void connection_free_ended(struct server *server) {
  while (server->ended) {
    struct connection *connection = server->ended;
    server->ended = connection->next;
    free(connection->name);
    free(connection);
  }
}
