#include "server/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/notify_socket.h"
#include "server/reloads.h"

/* The ms until a state that the socket has not taken is sent again. */
enum { RETRY_TIME = 50 };

/* Logs a failure, once until a message gets through again. */
static enum status send_text(struct server *server, const char *text) {
  struct notify *notify = &server->notify;
  enum status status = notify_socket_send(notify->socket, text);
  if (status == STATUS_ERROR && !notify->has_failed)
    log_event(LOG_WARN, "notify_failed", "detail", strerror(errno));
  if (status != STATUS_AGAIN) notify->has_failed = status == STATUS_ERROR;
  return status;
}

static void send_state(struct server *server) {
  struct notify *notify = &server->notify;
  if (send_text(server, notify->state) == STATUS_AGAIN)
    timer_set(&server->world->timers, &notify->retry, server->now + RETRY_TIME);
  else
    timer_cancel(&server->world->timers, &notify->retry);
}

static void retry(struct timer *timer) {
  send_state((struct server *)((char *)timer - offsetof(struct server, notify.retry)));
}

static void show_life(struct timer *timer) {
  struct server *server =
      (struct server *)((char *)timer - offsetof(struct server, notify.watchdog));
  (void)send_text(server, "WATCHDOG=1");
  timer_set(&server->world->timers, timer, server->now + server->notify.period);
}

void notify_init(struct server *server, struct notify_socket *notify_socket, int64_t watchdog) {
  struct notify *notify = &server->notify;
  notify->socket = notify_socket;
  if (watchdog > 0) notify->period = watchdog > 2 ? watchdog / 2 : 1;
  notify->watchdog.expire = show_life;
  notify->retry.expire = retry;
}

/* ---- the texts ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void add(struct notify *notify, const char *format,
                                                      ...) {
  size_t length = strlen(notify->state);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(notify->state + length, sizeof notify->state - length, format, arguments);
  va_end(arguments);
}

/* Adds the name of a service. A control character would begin another line of the message. What the
 * message has no room for is left out. */
static void add_name(struct notify *notify, const char *before, const char *name) {
  add(notify, "%s", before);
  char *added = notify->state + strlen(notify->state);
  add(notify, "%s", name);
  for (; *added != '\0'; added++)
    if ((unsigned char)*added < ' ') *added = '?';
}

/* The status names the services, and those that a reload should have renewed, but has not. */
static void add_status(struct server *server, bool is_after_reload) {
  struct notify *notify = &server->notify;
  const char *before = "\nSTATUS=Serving ";
  for (struct service *service = server->services; service; service = service->next) {
    add_name(notify, before, service->name);
    before = ", ";
  }
  before = "; see the log, not reloaded: ";
  for (struct service *service = server->services; service && is_after_reload;
       service = service->next) {
    if (!service->provider || service->reloads != service->reloads_before) continue;
    add_name(notify, before, service->name);
    before = ", ";
  }
}

void notify_ready(struct server *server) {
  struct notify *notify = &server->notify;
  if (!notify->socket) return;
  server->now = clock_milliseconds();
  snprintf(notify->state, sizeof notify->state, "READY=1\nMAINPID=%ld", (long)getpid());
  add_status(server, false);
  send_state(server);
  if (notify->period > 0)
    timer_set(&server->world->timers, &notify->watchdog, server->now + notify->period);
}

void notify_reloading(struct server *server) {
  struct notify *notify = &server->notify;
  if (!notify->socket) return;
  notify->is_reloading = true;
  for (struct service *service = server->services; service; service = service->next)
    service->reloads_before = service->reloads;
  snprintf(notify->state, sizeof notify->state,
           "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reloading",
           (int64_t)(clock_seconds() * 1e6));
  send_state(server);
}

void notify_reloaded(struct server *server) {
  struct notify *notify = &server->notify;
  if (!notify->is_reloading || reloads_are_under_way(server)) return;
  notify->is_reloading = false;
  snprintf(notify->state, sizeof notify->state, "READY=1");
  add_status(server, true);
  send_state(server);
}

void notify_stopping(struct server *server) {
  struct notify *notify = &server->notify;
  if (!notify->socket) return;
  notify->is_reloading = false;
  snprintf(notify->state, sizeof notify->state, "STOPPING=1\nSTATUS=Draining %zu connections",
           server->connection_count);
  send_state(server);
}

void notify_end(struct server *server) {
  timer_cancel(&server->world->timers, &server->notify.watchdog);
  timer_cancel(&server->world->timers, &server->notify.retry);
}
