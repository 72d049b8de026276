#include "server/datagrams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/datagram_socket.h"
#include "server/idle.h"
#include "server/peer_rates.h"
#include "server/recorded_senders.h"
#include "session/datagram.h"

enum {
  LONG_BATCH = 20,    /* ms: after a batch that took longer, the next one is smaller. */
  QUIET_TIME = 60000, /* "full" is logged again if the last time was so many ms ago. */
  SPARE_MAX = 64      /* Structs that are kept for the next datagrams. */
};

/* A datagram that is not answered yet. */
struct datagram {
  struct session_owner owner; /* The first member. */
  struct session *session;
  struct listener *listener;
  struct datagram *next;
  struct datagram *previous;
  struct timer timer;
  struct ready turn;
  struct datagram_route route;
  struct recorded_sender *recorded; /* NULL: it is not recorded. */
};

/* What a listener for datagrams has besides. */
struct datagrams {
  struct listener *listener;
  struct ready sending; /* In the run queue while answers are to be sent. */
  struct datagram_outbox outbox;
  size_t most;       /* The most datagrams of the next batch. */
  unsigned interest; /* Of the poller. */
  bool is_receiving; /* A batch is answered, and the answers are sent behind it. */
  bool is_ended;     /* No more datagrams are taken. */
};

static struct server *server_of(const struct datagram *datagram) {
  return datagram->listener->service->server;
}

/* ---- sending ------------------------------------------------------------------------------- */

static bool is_full(const struct service *service) {
  size_t most = service->handler->limits.max_datagrams;
  return most > 0 && service->datagram_count >= most;
}

static void update_interest(struct datagrams *datagrams) {
  struct listener *listener = datagrams->listener;
  bool takes = !datagrams->is_ended && !is_full(listener->service);
  unsigned interest = (takes ? POLLER_READ : POLLER_NONE) |
                      (datagram_outbox_is_empty(&datagrams->outbox) ? POLLER_NONE : POLLER_WRITE);
  if (interest == datagrams->interest) return;
  poller_change(listener->service->server->poller, listener->fd, interest);
  datagrams->interest = interest;
}

static void log_dropped(struct listener *listener, const struct datagram_route *route,
                        size_t length, const char *detail) {
  struct service *service = listener->service;
  char *host = service->server->peer_host;
  struct session_identity who = {.service = service->name, .host = host};
  address_numeric(&route->peer.any, host, &who.port);
  datagram_log_dropped(&who, &service->failures, length, detail, service->server->now);
}

/* What the network does not take is lost, as it could be on its way. */
static void send_waiting(struct datagrams *datagrams) {
  struct listener *listener = datagrams->listener;
  struct datagram_route route;
  struct span failed;
  while (datagram_outbox_send(&datagrams->outbox, listener->fd, &failed, &route) == STATUS_ERROR) {
    const char *why = errno == EMSGSIZE ? datagram_too_large : strerror(errno);
    log_dropped(listener, &route, failed.length, why);
  }
  ready_remove(&listener->service->server->world->ready, &datagrams->sending);
  update_interest(datagrams);
}

static void take_sending_turn(struct ready *entry) {
  send_waiting((struct datagrams *)((char *)entry - offsetof(struct datagrams, sending)));
}

/* ---- the hooks ----------------------------------------------------------------------------- */

static struct datagram *datagram_of(struct session_owner *owner) {
  return (struct datagram *)owner;
}

static int64_t tell_time(struct session_owner *owner) {
  struct server *server = server_of(datagram_of(owner));
  server_update_clock(server);
  idle_note_work(server);
  return server->now;
}

static void wake(struct session_owner *owner) {
  struct datagram *datagram = datagram_of(owner);
  ready_add(&server_of(datagram)->world->ready, &datagram->turn);
}

static void identify(struct session_owner *owner, struct session_identity *identity) {
  const struct datagram *datagram = datagram_of(owner);
  const struct listener *listener = datagram->listener;
  char *host = server_of(datagram)->peer_host;
  unsigned port;
  address_numeric(&datagram->route.peer.any, host, &port);
  *identity = (struct session_identity){.service = listener->service->name,
                                        .transport = "udp",
                                        .host = host,
                                        .name = host,
                                        .port = port,
                                        .server_host = listener->host,
                                        .server_port = listener->port};
}

static enum status queue(struct session_owner *owner, struct span bytes) {
  struct datagram *datagram = datagram_of(owner);
  struct datagrams *datagrams = datagram->listener->datagrams;
  bool is_ipv4 = datagram->route.peer.any.sa_family == AF_INET;
  if (is_ipv4 && bytes.length > DATAGRAM_LONGEST_IPV4) return STATUS_ERROR;
  enum status status = datagram_outbox_add(&datagrams->outbox, &datagram->route, bytes);
  if (status == STATUS_FULL) {
    send_waiting(datagrams);
    status = datagram_outbox_add(&datagrams->outbox, &datagram->route, bytes);
  }
  if (status == STATUS_OK && datagram->recorded) recorded_senders_answer(datagram->recorded, bytes);
  if (!datagrams->is_receiving) ready_add(&server_of(datagram)->world->ready, &datagrams->sending);
  return status;
}

void datagrams_set_hooks(struct service *service) {
  service->datagram_hooks = (struct session_hooks){.identify = identify,
                                                   .failures = &service->failures,
                                                   .held = &service->server->held,
                                                   .now = tell_time,
                                                   .wake = wake,
                                                   .send_datagram = queue};
}

/* ---- one datagram -------------------------------------------------------------------------- */

static void link_datagram(struct server *server, struct datagram *datagram) {
  datagram->previous = NULL;
  datagram->next = server->datagrams;
  if (datagram->next) datagram->next->previous = datagram;
  server->datagrams = datagram;
}

static void unlink_datagram(struct server *server, const struct datagram *datagram) {
  if (datagram->previous)
    datagram->previous->next = datagram->next;
  else
    server->datagrams = datagram->next;
  if (datagram->next) datagram->next->previous = datagram->previous;
}

static void give_back(struct server *server, struct datagram *datagram) {
  if (server->spare_datagram_count >= SPARE_MAX) {
    free(datagram);
    return;
  }
  datagram->next = server->spare_datagrams;
  server->spare_datagrams = datagram;
  server->spare_datagram_count++;
}

static void finish(struct datagram *datagram) {
  struct service *service = datagram->listener->service;
  struct server *server = service->server;
  bool was_full = is_full(service);
  service->requests += session_requests(datagram->session);
  service->ended[session_reason(datagram->session)]++;
  if (datagram->recorded) recorded_senders_end(datagram->recorded, datagram->session);
  session_destroy(datagram->session, server->now);
  timer_cancel(&server->world->timers, &datagram->timer);
  ready_remove(&server->world->ready, &datagram->turn);
  unlink_datagram(server, datagram);
  service->datagram_count--;
  give_back(server, datagram);
  if (!was_full) return;
  for (struct listener *listener = service->listeners; listener; listener = listener->next)
    if (listener->datagrams) update_interest(listener->datagrams);
}

static void settle(struct datagram *datagram) {
  struct server *server = server_of(datagram);
  struct session *session = datagram->session;
  if (!session_finished(session) && session_wants_turn(session)) {
    ready_add(&server->world->ready, &datagram->turn);
    return;
  }
  int64_t when = session_finished(session) ? CLOCK_NEVER : session_deadline(session);
  if (when != CLOCK_NEVER && timer_set(&server->world->timers, &datagram->timer, when) != STATUS_OK)
    session_abort(session, REASON_OUT_OF_MEMORY, server->now);
  if (session_finished(session)) finish(datagram);
}

static void go_on(struct datagram *datagram) {
  struct server *server = server_of(datagram);
  session_expire(datagram->session, server->now);
  session_resume(datagram->session, server->now);
  settle(datagram);
}

static void take_turn(struct ready *entry) {
  go_on((struct datagram *)((char *)entry - offsetof(struct datagram, turn)));
}

static void expire(struct timer *timer) {
  go_on((struct datagram *)((char *)timer - offsetof(struct datagram, timer)));
}

/* NULL: there is no memory. */
static struct datagram *create(struct listener *listener) {
  struct server *server = listener->service->server;
  struct datagram *datagram = server->spare_datagrams;
  if (datagram) {
    server->spare_datagrams = datagram->next;
    server->spare_datagram_count--;
  } else
    datagram = malloc(sizeof *datagram);
  if (!datagram) return NULL;
  *datagram = (struct datagram){.owner.hooks = &listener->service->datagram_hooks,
                                .listener = listener,
                                .timer.expire = expire,
                                .turn.run = take_turn};
  datagram->session =
      session_create_datagram(listener->service->handler, &datagram->owner, server->now);
  if (datagram->session) return datagram;
  give_back(server, datagram);
  return NULL;
}

static void answer(struct listener *listener, size_t nth) {
  struct service *service = listener->service;
  struct server *server = service->server;
  struct datagram_route route;
  struct span bytes = datagram_inbox_take(server->inbox, nth, &route);
  if (server->peer_rates && !peer_rates_allow(server->peer_rates, &route.peer, server->now)) {
    log_dropped(listener, &route, bytes.length, "max_datagrams_per_peer is reached");
    return;
  }
  struct datagram *datagram = create(listener);
  if (!datagram) {
    log_dropped(listener, &route, bytes.length, "not enough memory");
    return;
  }
  datagram->route = route;
  link_datagram(server, datagram);
  service->datagram_count++;
  if (server->recording_writer)
    datagram->recorded = recorded_senders_receive(service, &route.peer, datagram->session, bytes);
  session_receive_datagram(datagram->session, bytes.data, bytes.length, server->now);
  settle(datagram);
}

/* ---- a listener ---------------------------------------------------------------------------- */

static void log_full(struct service *service) {
  struct log_line line;
  int64_t now = service->server->now, last = service->datagrams_full_at;
  service->datagrams_full_at = now;
  if (last != 0 && now - last <= QUIET_TIME) return;
  if (!log_begin(&line, LOG_WARN, "full")) return;
  log_text(&line, "service", service->name);
  log_integer(&line, "datagrams", (int64_t)service->datagram_count);
  log_text(&line, "detail", "max_tasks is reached; other datagrams wait until one is answered");
  log_end(&line);
}

static void log_broken(const struct listener *listener) {
  struct log_line line;
  struct service *service = listener->service;
  if (!log_begin_limited(&line, LOG_ERROR, "receive_failed", &service->refusals,
                         service->server->now))
    return;
  log_text(&line, "service", service->name);
  log_text(&line, "detail", strerror(errno));
  log_end(&line);
}

/* How many datagrams the next batch may have. */
static size_t batch_size(const struct datagrams *datagrams) {
  const struct service *service = datagrams->listener->service;
  size_t most = service->handler->limits.max_datagrams;
  if (is_full(service)) return 0;
  size_t room = most > 0 ? most - service->datagram_count : datagrams->most;
  return room < datagrams->most ? room : datagrams->most;
}

/* After a batch that took long, fewer are taken at once, so that others are not kept waiting. */
static void adapt(struct datagrams *datagrams, int64_t took) {
  if (took > LONG_BATCH && datagrams->most > 1)
    datagrams->most /= 2;
  else if (took <= LONG_BATCH && datagrams->most < DATAGRAM_SOCKET_BATCH)
    datagrams->most *= 2;
}

/* Answers one batch. False: there is none, or no room for it. */
static bool receive(struct datagrams *datagrams) {
  struct listener *listener = datagrams->listener;
  struct server *server = listener->service->server;
  int64_t began = server->now;
  size_t count, most = batch_size(datagrams);
  if (most == 0) return false;
  enum status status = datagram_inbox_receive(server->inbox, listener->fd, most, &count);
  if (status == STATUS_ERROR) log_broken(listener);
  if (status != STATUS_OK) return false;
  datagrams->is_receiving = true;
  for (size_t i = 0; i < count; i++) answer(listener, i);
  datagrams->is_receiving = false;
  if (is_full(listener->service)) log_full(listener->service);
  server_update_clock(server);
  adapt(datagrams, server->now - began);
  return true;
}

static void on_event(struct event_handler *event_handler, unsigned events) {
  struct datagrams *datagrams = ((struct listener *)event_handler)->datagrams;
  (void)events;
  if (!datagrams->is_ended) (void)receive(datagrams);
  send_waiting(datagrams);
}

enum status datagrams_init(struct listener *listener) {
  struct server *server = listener->service->server;
  if (datagram_socket_prepare(listener->fd) != STATUS_OK) return STATUS_ERROR;
  if (!server->inbox) server->inbox = datagram_inbox_create();
  if (!server->inbox) return STATUS_NO_MEMORY;
  struct datagrams *datagrams = calloc(1, sizeof *datagrams);
  if (!datagrams) return STATUS_NO_MEMORY;
  datagrams->listener = listener;
  datagrams->sending.run = take_sending_turn;
  datagrams->most = DATAGRAM_SOCKET_BATCH;
  datagrams->interest = POLLER_READ;
  listener->datagrams = datagrams;
  listener->event_handler.on_event = on_event;
  return STATUS_OK;
}

void datagrams_take_rest(struct listener *listener, int64_t patience) {
  struct datagrams *datagrams = listener->datagrams;
  if (datagrams->is_ended) return;
  while (clock_coarse_milliseconds() < patience && receive(datagrams)) continue;
  datagrams->is_ended = true;
  send_waiting(datagrams);
}

bool datagrams_are_in_hand(const struct server *server) {
  if (server->datagrams) return true;
  for (const struct service *service = server->services; service; service = service->next)
    for (const struct listener *listener = service->listeners; listener; listener = listener->next)
      if (listener->datagrams && !datagram_outbox_is_empty(&listener->datagrams->outbox))
        return true;
  return false;
}

void datagrams_abort_all(struct server *server) {
  struct datagram *next;
  for (struct datagram *datagram = server->datagrams; datagram; datagram = next) {
    next = datagram->next;
    session_abort(datagram->session, REASON_STOPPED, server->now);
    finish(datagram);
  }
  for (struct service *service = server->services; service; service = service->next)
    for (struct listener *listener = service->listeners; listener; listener = listener->next)
      if (listener->datagrams) datagram_outbox_deinit(&listener->datagrams->outbox);
}

void datagrams_deinit(struct listener *listener) {
  struct server *server = listener->service->server;
  if (!listener->datagrams) return;
  ready_remove(&server->world->ready, &listener->datagrams->sending);
  datagram_outbox_deinit(&listener->datagrams->outbox);
  free(listener->datagrams);
  listener->datagrams = NULL;
}

void datagrams_free_shared(struct server *server) {
  while (server->spare_datagrams) {
    struct datagram *datagram = server->spare_datagrams;
    server->spare_datagrams = datagram->next;
    free(datagram);
  }
  if (server->inbox) datagram_inbox_destroy(server->inbox);
  server->inbox = NULL;
}
