#include "server/server.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/signals.h"
#include "server/buffer_limit.h"
#include "server/connection.h"
#include "server/datagrams.h"
#include "server/hooks.h"
#include "server/idle.h"
#include "server/listener.h"
#include "server/migrate.h"
#include "server/notify.h"
#include "server/peer_rates.h"
#include "server/preflight.h"
#include "server/recorded_senders.h"
#include "server/recording_writer.h"
#include "server/reloads.h"

enum {
  EVENTS = 256,         /* that are dispatched in a turn, at most */
  FAREWELL_TIME = 1000, /* ms for telling scripts of connections that are cut off at the end */
  TIMERS = 256,         /* that expire in a turn, at most */
  TIMERS_TIME = 20,     /* ms that expired timers have in a turn, at most */
  QUEUE_TIME = 50, /* ms that the run queue has in a turn, at most: then events are looked at */
  LONGEST_WAIT = 3600 * 1000
};

static void reopen_log(void) {
  if (!log_has_file())
    log_event(LOG_WARN, "signal_ignored", "signal", "SIGUSR1");
  else if (log_reopen())
    log_event(LOG_INFO, "log_reopened", NULL, NULL);
  else
    log_event(LOG_ERROR, "log_not_reopened", "detail", strerror(errno));
}

static void signalled(struct event_handler *event_handler, unsigned events) {
  (void)events;
  struct server *server =
      (struct server *)((char *)event_handler - offsetof(struct server, signals));
  char bytes[64];
  while (read(server->signal_fd, bytes, sizeof bytes) > 0) continue;
  server->is_stopping = server->is_stopping || signals_asked_to_stop();
  if (!server->is_stopping && signals_take_reload()) {
    server->is_asked_to_reload = true;
    notify_reloading(server);
  }
  if (signals_take_reopen()) reopen_log();
  if (signals_take_ignored()) log_event(LOG_WARN, "signal_ignored", "signal", "SIGUSR2");
}

static void woken(struct event_handler *event_handler, unsigned events) {
  (void)events;
  struct server *server =
      (struct server *)((char *)event_handler - offsetof(struct server, wakeup));
  eventfd_t count;
  (void)eventfd_read(server->wake_fd, &count);
  server->is_woken = true;
}

void server_wake(struct server *server) { (void)eventfd_write(server->wake_fd, 1); }

/* A timer or a turn of a script has run it. */
static void note_work(struct world *world) {
  server_update_clock(world->context);
  idle_note_work(world->context);
}

static void retry(struct timer *timer) {
  listener_resume((struct server *)((char *)timer - offsetof(struct server, retry)));
}

/* The coarse clock may not know it yet. */
static void end_drain(struct timer *timer) {
  ((struct server *)((char *)timer - offsetof(struct server, drain)))->drain_is_over = true;
}

bool server_can_record(const char *folder) {
  struct recording_writer *recording_writer;
  if (recording_writer_create(folder, &recording_writer) != STATUS_OK) return false;
  recording_writer_destroy(recording_writer);
  return true;
}

enum status server_create(const struct server_options *options, struct server **created,
                          const char **why) {
  struct server *server = calloc(1, sizeof *server);
  *why = "memory";
  if (!server) return STATUS_NO_MEMORY;
  server->world = options->world;
  server->world->context = server;
  server->world->on_work = note_work;
  idle_init(server);
  notify_init(server, options->notify_socket, options->watchdog);
  server->max_connections = options->max_connections;
  server->drain_timeout = options->drain_timeout;
  server->held.sum = &server->buffered;
  server->max_buffered = options->max_buffered > 0 ? options->max_buffered : SIZE_MAX;
  server->keepalive = options->keepalive;
  server->watches = options->watches;
  server->signals.on_event = signalled;
  server->signal_fd = server->wake_fd = -1;
  server->wakeup.on_event = woken;
  server->retry.expire = retry;
  server->drain.expire = end_drain;
  server->now = clock_milliseconds();
  *why = "poller";
  enum status status = poller_create(options->poller, &server->poller);
  if (status == STATUS_OK) {
    *why = "signals";
    status = signals_open(&server->signal_fd);
  }
  if (status == STATUS_OK)
    status = poller_add(server->poller, server->signal_fd, POLLER_READ, &server->signals);
  if (status == STATUS_OK) {
    *why = "event";
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    status = server->wake_fd < 0
                 ? STATUS_ERROR
                 : poller_add(server->poller, server->wake_fd, POLLER_READ, &server->wakeup);
  }
  if (status == STATUS_OK) {
    *why = "network";
    status =
        io_network_create(server->poller, server->world, options->name_server, &server->network);
  }
  if (status == STATUS_OK) {
    *why = "processes";
    status = io_processes_create(server->poller, server->world, options->environment,
                                 &server->processes);
  }
  if (status == STATUS_OK && options->max_datagrams_per_peer > 0) {
    *why = "memory";
    server->peer_rates = peer_rates_create((uint32_t)options->max_datagrams_per_peer);
    if (!server->peer_rates) status = STATUS_NO_MEMORY;
  }
  if (status == STATUS_OK && options->record) {
    *why = "folder for transcripts";
    status = recording_writer_create(options->record, &server->recording_writer);
    if (status == STATUS_OK)
      status = poller_add(server->poller, server->recording_writer->event, POLLER_READ,
                          &server->recording_writer->event_handler);
  }
  if (status == STATUS_OK && options->resolve_names) {
    *why = "name server";
    status = resolver_create(server->poller, options->name_server, &server->resolver);
  }
  if (status != STATUS_OK) {
    int saved = errno;
    server_destroy(server);
    errno = saved;
    return status;
  }
  *created = server;
  return STATUS_OK;
}

enum status server_add_service(struct server *server, const struct service_options *options,
                               const struct address **failed, const char **why) {
  struct service *service = calloc(1, sizeof *service);
  *failed = NULL;
  *why = "memory";
  if (!service) return STATUS_NO_MEMORY;
  service->server = server;
  hooks_set(service);
  datagrams_set_hooks(service);
  service->handler = options->handler;
  service->has_files = options->handler->has_files;
  service->provider = options->provider;
  preflight_init(service);
  service->max_connections = options->max_connections;
  service->max_connections_per_peer = options->max_connections_per_peer;
  service->accept_proxy = options->accept_proxy;
  if (options->tls) service->tls = tls_context_retain(options->tls);
  snprintf(service->name, sizeof service->name, "%s", options->name);
  struct service **end = &server->services;
  while (*end) end = &(*end)->next;
  *end = service;
  for (size_t i = 0; i < options->address_count; i++) {
    *failed = &options->addresses[i];
    enum status status = listener_open(service, *failed, &options->access, why);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}

static struct service *nth_service(const struct server *server, size_t nth) {
  struct service *service = server->services;
  while (service && nth-- > 0) service = service->next;
  return service;
}

unsigned server_port(const struct server *server, size_t nth) {
  const struct service *service = nth_service(server, nth);
  return service && service->listeners ? service->listeners->port : 0;
}

void server_set_handler(struct server *server, size_t nth, struct handler *handler) {
  struct service *service = nth_service(server, nth);
  service->handler = handler;
  service->has_files = service->has_files || handler->has_files;
  service->reloads++;
  idle_note_work(server);
  migrate_begin(server);
}

void server_set_tls(struct server *server, size_t nth, struct tls_context *tls) {
  struct service *service = nth_service(server, nth);
  tls_context_release(service->tls);
  service->tls = tls_context_retain(tls);
}

/* ---- a turn -------------------------------------------------------------------------------- */

static int time_to_wait(struct server *server, int64_t now) {
  if (migrate_is_under_way(server) || server->world->ready.count > 0 ||
      server->idle.phase == IDLE_RUNNING)
    return 0;
  int64_t next = timer_next(&server->world->timers);
  if (reloads_deadline(server) < next) next = reloads_deadline(server);
  if (server->resolver) {
    int64_t resolver = resolver_deadline(server->resolver, now);
    if (resolver < next) next = resolver;
  }
  int64_t network = io_network_deadline(server->network, now);
  if (network < next) next = network;
  if (next <= now) return 0;
  return next - now < LONGEST_WAIT ? (int)(next - now) : LONGEST_WAIT;
}

/* Scripts are told of the end of each, but a stop cannot wait for all of them if they take long. */
static void abort_all(struct server *server) {
  int64_t patience = clock_milliseconds() + FAREWELL_TIME;
  struct connection *next;
  for (struct connection *connection = server->connections; connection; connection = next) {
    next = connection_next(connection);
    connection_abort(connection, clock_milliseconds() < patience);
  }
  datagrams_abort_all(server);
}

/* A single event can take as long as the call timeout: a stop does not wait for all of a turn. What
 * is left is reported again. */
static bool must_break_off(struct server *server) {
  if (server->is_draining)
    return server->drain_is_over || clock_coarse_milliseconds() >= server->drain.when;
  server->is_stopping = server->is_stopping || signals_asked_to_stop();
  return server->is_stopping;
}

static void expire_timers(struct server *server) {
  int64_t due = server->now; /* those that come to be due meanwhile have the next turn */
  for (int i = 0; i < TIMERS && !must_break_off(server); i++) {
    struct timer *timer = timer_take_due(&server->world->timers, due);
    if (!timer) break;
    timer->expire(timer);
    if (server->now >= due + TIMERS_TIME) break;
  }
  if (server->is_draining && must_break_off(server)) abort_all(server);
  if (server->resolver && resolver_deadline(server->resolver, server->now) <= server->now)
    resolver_expire(server->resolver);
  if (io_network_deadline(server->network, server->now) <= server->now)
    io_network_expire(server->network);
}

/* A slice for each one that is there now. What there is no time for keeps its place. */
static void run_queue(struct server *server) {
  int64_t end = server->now + QUEUE_TIME;
  for (size_t i = server->world->ready.count; i > 0 && !must_break_off(server); i--) {
    struct ready *entry = ready_take(&server->world->ready);
    if (!entry) break;
    entry->run(entry);
    if (buffer_limit_is_exceeded(server)) buffer_limit_enforce(server);
    if (server->now >= end) break;
  }
}

static enum status turn(struct server *server, int wait_ms, size_t *count) {
  struct poller_event events[EVENTS];
  enum status status = poller_wait(server->poller, wait_ms, events, EVENTS, count);
  if (status != STATUS_OK) return status;
  server->now = clock_milliseconds();
  for (size_t i = 0; i < *count && !must_break_off(server); i++) {
    struct event_handler *event_handler = events[i].owner;
    event_handler->on_event(event_handler, events[i].events);
    if (buffer_limit_is_exceeded(server)) buffer_limit_enforce(server);
  }
  expire_timers(server);
  if (buffer_limit_is_exceeded(server)) buffer_limit_enforce(server);
  run_queue(server);
  migrate_slice(server);
  connection_free_ended(server);
  if (io_network_free_closed(server->network)) server->has_room_again = true;
  if (io_processes_free_ended(server->processes)) server->has_room_again = true;
  if (server->has_room_again) listener_resume(server);
  return STATUS_OK;
}

static enum status wait_and_turn(struct server *server) {
  size_t count;
  enum status status = turn(server, time_to_wait(server, clock_milliseconds()), &count);
  if (count == 0 && server->world->ready.count == 0 && !migrate_is_under_way(server))
    idle_step(server);
  if (status == STATUS_OK) reloads_run(server);
  notify_reloaded(server);
  return status;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void log_stopping(const struct server *server) {
  struct log_line line;
  if (!log_begin(&line, LOG_INFO, "draining")) return;
  log_integer(&line, "connections", (int64_t)server->connection_count);
  log_end(&line);
}

static void log_stopped(const struct service *service) {
  struct log_line line;
  if (!log_begin(&line, LOG_INFO, "stopped")) return;
  log_text(&line, "service", service->name);
  log_integer(&line, "requests", (int64_t)service->requests);
  for (int reason = 0; reason < REASON_COUNT; reason++)
    if (service->ended[reason] > 0)
      log_integer(&line, reason_name((enum reason)reason), (int64_t)service->ended[reason]);
  log_end(&line);
}

static enum status drain(struct server *server) {
  for (struct service *service = server->services; service; service = service->next)
    listener_accept_rest(service);
  log_stopping(server);
  server->is_draining = true;
  notify_stopping(server);
  preflight_end(server);
  server->now = clock_milliseconds();
  if (server->drain_timeout > 0)
    timer_set(&server->world->timers, &server->drain, server->now + server->drain_timeout);
  for (struct service *service = server->services; service; service = service->next)
    listener_close_all(service);
  struct connection *next;
  for (struct connection *connection = server->connections; connection && !must_break_off(server);
       connection = next) {
    next = connection_next(connection);
    connection_drain(connection);
  }
  connection_free_ended(server);
  enum status status = STATUS_OK;
  while (status == STATUS_OK && (server->connections || datagrams_are_in_hand(server)))
    status = wait_and_turn(server);
  return status;
}

enum status server_run(struct server *server) {
  enum status status = server->watches ? reloads_watch(server) : STATUS_OK;
  if (status == STATUS_OK) notify_ready(server);
  while (status == STATUS_OK && !server->is_stopping) status = wait_and_turn(server);
  if (status == STATUS_OK) status = drain(server);
  if (status != STATUS_OK) {
    log_event(LOG_ERROR, "loop_failed", "detail", strerror(errno));
    abort_all(server);
    connection_free_ended(server);
  }
  for (const struct service *service = server->services; service; service = service->next)
    log_stopped(service);
  return status;
}

static void free_service(struct service *service) {
  listener_close_all(service);
  tls_context_release(service->tls);
  while (service->listeners) {
    struct listener *listener = service->listeners;
    service->listeners = listener->next;
    datagrams_deinit(listener);
    free(listener->path);
    free(listener);
  }
  peers_deinit(&service->peers);
  free(service);
}

void server_destroy(struct server *server) {
  struct timer_heap *timers = &server->world->timers;
  preflight_end(server);
  abort_all(server);
  connection_free_ended(server);
  splice_pipes_close(&server->pipes);
  notify_end(server);
  timer_cancel(timers, &server->idle.timer);
  timer_cancel(timers, &server->retry);
  timer_cancel(timers, &server->drain);
  recorded_senders_finish(server);
  while (server->services) {
    struct service *service = server->services;
    server->services = service->next;
    free_service(service);
  }
  datagrams_free_shared(server);
  peer_rates_destroy(server->peer_rates);
  if (server->recording_writer) {
    poller_remove(server->poller, server->recording_writer->event);
    recording_writer_destroy(server->recording_writer);
  }
  io_processes_destroy(server->processes);
  io_network_destroy(server->network);
  if (server->resolver) resolver_destroy(server->resolver);
  reloads_end(server);
  if (server->signal_fd >= 0) {
    poller_remove(server->poller, server->signal_fd);
    close(server->signal_fd);
  }
  if (server->wake_fd >= 0) {
    poller_remove(server->poller, server->wake_fd);
    close(server->wake_fd);
  }
  if (server->poller) poller_destroy(server->poller);
  free(server->tls_text);
  free(server);
}
