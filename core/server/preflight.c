#include "server/preflight.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/child.h"

enum {
  CHECKS_MAX = 2,     /* The most checks at a time: the machine is for the clients first. */
  FIRST_RETRY = 50,   /* The ms until the first retry. The time doubles with each further retry. */
  DOUBLED_MAX = 5,    /* The retry after which the time does not double any more. */
  REST_TIME = 2000,   /* The most ms that a check waits for a file that is being written. */
  EXTENSIONS_MAX = 5, /* How often a running check is given more time. */
  WHY_MAX = 128
};

/* ---- the program --------------------------------------------------------------------------- */

static void stop_polling_output(struct service *service) {
  struct preflight *preflight = &service->preflight;
  if (preflight->polls_output)
    poller_remove(service->server->poller, child_output_fd(preflight->child));
  preflight->polls_output = false;
}

static void stop_polling(struct service *service) {
  stop_polling_output(service);
  poller_remove(service->server->poller, child_exit_fd(service->preflight.child));
}

static void close_child(struct service *service) {
  struct preflight *preflight = &service->preflight;
  if (preflight->phase != PREFLIGHT_ENDED) stop_polling(service);
  child_destroy(preflight->child);
  preflight->child = NULL;
}

static void set_phase(struct preflight *preflight, enum preflight_phase phase, int64_t deadline) {
  preflight->phase = phase;
  preflight->deadline = deadline;
}

/* The event may come when the program is closed already. */
static void read_check(struct service *service) {
  struct preflight *preflight = &service->preflight;
  struct child *child = preflight->child;
  struct child_exit end;
  if (!child || preflight->phase == PREFLIGHT_ENDED) return;
  if (preflight->polls_output && !child_read(child)) stop_polling_output(service);
  if (!child_has_exited(child, &end)) return;
  if (preflight->phase == PREFLIGHT_RUNNING) {
    stop_polling(service);
    set_phase(preflight, PREFLIGHT_ENDED, service->server->now);
  } else
    close_child(service);
}

static void on_check_output(struct event_handler *event_handler, unsigned events) {
  (void)events;
  read_check(
      (struct service *)((char *)event_handler - offsetof(struct service, preflight.output)));
}

static void on_check_exit(struct event_handler *event_handler, unsigned events) {
  (void)events;
  read_check((struct service *)((char *)event_handler - offsetof(struct service, preflight.exit)));
}

/* The result of the check does not matter any more. Its program is killed, and not waited for. */
static void drop_check(struct service *service) {
  struct preflight *preflight = &service->preflight;
  if (preflight->phase == PREFLIGHT_RUNNING) child_kill(preflight->child);
  if (preflight->phase == PREFLIGHT_ENDED) close_child(service);
  set_phase(preflight, PREFLIGHT_IDLE, CLOCK_NEVER);
}

static enum status poll_child(struct service *service) {
  struct preflight *preflight = &service->preflight;
  struct poller *poller = service->server->poller;
  int exit_fd = child_exit_fd(preflight->child);
  enum status status = poller_add(poller, exit_fd, POLLER_READ, &preflight->exit);
  if (status != STATUS_OK) return status;
  status = poller_add(poller, child_output_fd(preflight->child), POLLER_READ, &preflight->output);
  if (status != STATUS_OK) poller_remove(poller, exit_fd);
  return status;
}

static enum status start_program(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  enum status status = child_start(service->provider->check, &preflight->child);
  if (status != STATUS_OK) return status;
  status = poll_child(service);
  if (status == STATUS_OK) {
    preflight->polls_output = true;
    preflight->extensions = 0;
    preflight->used = 0;
    set_phase(preflight, PREFLIGHT_RUNNING, now + service->provider->check_time);
    return STATUS_OK;
  }
  int error = errno;
  child_destroy(preflight->child);
  preflight->child = NULL;
  errno = error;
  return status;
}

/* ---- what there is to check ---------------------------------------------------------------- */

static int64_t retry_time(struct preflight *preflight, int64_t now) {
  if (preflight->retries < DOUBLED_MAX) preflight->retries++;
  return now + (FIRST_RETRY / 2 << preflight->retries);
}

/* Tells whether the deadline has passed and no file is half written. A file that is being written
 * may belong to another service, and take hours: after REST_TIME it does not count. */
static bool may_read(const struct service *service, int64_t now) {
  int64_t deadline = service->preflight.deadline;
  struct watcher *watcher = service->server->watcher;
  if (now < deadline) return false;
  return !watcher || now >= deadline + REST_TIME || watcher_is_at_rest(watcher, now);
}

/* Asks the provider of the service what there is to check. */
static void ask_provider(struct service *service, bool is_forced, int64_t now) {
  struct preflight *preflight = &service->preflight;
  is_forced = is_forced || preflight->is_forced;
  enum reload_outcome found =
      service->provider->find_changes(service->provider->context, is_forced, now);
  bool is_wanted = found == RELOAD_CHECKING && preflight->phase == PREFLIGHT_WANTED;
  if (found != RELOAD_CHECKING) drop_check(service);
  if (found == RELOAD_UNCHECKED || is_wanted) set_phase(preflight, PREFLIGHT_WANTED, now);
  if (found == RELOAD_LATER) set_phase(preflight, PREFLIGHT_WAITING, now + FIRST_RETRY);
  preflight->is_forced = is_forced && preflight->phase != PREFLIGHT_IDLE;
}

/* If the files have changed since they were checked, the provider is asked for changes again after
 * a while. While it compiles, the phase stays, so that this is called again with the same `end`.
 * True: the files of the service were read. */
static bool take_check_end(struct service *service, const struct check_end *end, int64_t now) {
  struct preflight *preflight = &service->preflight;
  const struct script_provider *provider = service->provider;
  enum reload_outcome outcome =
      provider->reload_checked(provider->context, preflight->is_forced, end, now);
  if (outcome == RELOAD_COMPILING) {
    service->server->compiling = service;
    return false;
  }
  if (outcome == RELOAD_LATER)
    set_phase(preflight, PREFLIGHT_WAITING, retry_time(preflight, now));
  else {
    set_phase(preflight, PREFLIGHT_IDLE, CLOCK_NEVER);
    preflight->is_forced = false;
  }
  return outcome == RELOAD_DONE || outcome == RELOAD_REFUSED;
}

static const char *status_text(enum status status) {
  switch (status) {
  case STATUS_FULL: return "the poller is full";
  case STATUS_NO_MEMORY: return "not enough memory";
  default: return strerror(errno);
  }
}

static void put_off_start(struct service *service, const char *why, int64_t now) {
  struct log_line line;
  struct preflight *preflight = &service->preflight;
  set_phase(preflight, PREFLIGHT_WANTED, retry_time(preflight, now));
  if (preflight->retries > 1 || !log_begin(&line, LOG_WARN, "check_put_off")) return;
  log_text(&line, "service", service->name);
  log_text(&line, "detail", why);
  log_end(&line);
}

/* Starting is tried again, because the machine may be short of processes or memory for a moment. */
static bool begin_check(struct service *service, int64_t now) {
  char why[WHY_MAX];
  enum status status = start_program(service, now);
  if (status == STATUS_OK) return false;
  snprintf(why, sizeof why, "the check could not be started: %s", status_text(status));
  if (service->preflight.retries < DOUBLED_MAX) {
    put_off_start(service, why, now);
    return false;
  }
  return take_check_end(service, &(struct check_end){.why = why}, now);
}

static bool finish_ended(struct service *service, int64_t now) {
  char why[WHY_MAX];
  struct child_exit exited;
  struct child *child = service->preflight.child;
  (void)child_has_exited(child, &exited);
  struct check_end end = {.status = exited.status, .text = child_text(child)};
  if (exited.signal > 0) {
    snprintf(why, sizeof why, "the check was ended by signal %d", exited.signal);
    end.why = why;
  }
  bool has_read = take_check_end(service, &end, now);
  if (service->preflight.phase == PREFLIGHT_ENDED) return false;
  child_destroy(child);
  service->preflight.child = NULL;
  return has_read;
}

/* A check that gets little processor time on a busy machine is given more time, as long as it makes
 * progress. A check is killed if it has used half of its time on the processor, or if it waits. */
static void extend_or_kill(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  int64_t time = service->provider->check_time;
  int64_t used = child_processor_time(preflight->child);
  bool waits = used - preflight->used < time / 100;
  if (used < time / 2 && !waits && preflight->extensions < EXTENSIONS_MAX) {
    preflight->extensions++;
    preflight->used = used;
    set_phase(preflight, PREFLIGHT_RUNNING, now + time);
    return;
  }
  child_kill(preflight->child);
  set_phase(preflight, PREFLIGHT_OVERDUE, CLOCK_NEVER);
}

static bool finish_overdue(struct service *service, int64_t now) {
  char why[WHY_MAX];
  snprintf(why, sizeof why, "the check did not end within %g s",
           (double)service->provider->check_time / 1000 * (1 + service->preflight.extensions));
  return take_check_end(service, &(struct check_end){.why = why}, now);
}

/* ---- the turn ------------------------------------------------------------------------------ */

void preflight_init(struct service *service) {
  service->preflight = (struct preflight){.deadline = CLOCK_NEVER,
                                          .output = {.on_event = on_check_output},
                                          .exit = {.on_event = on_check_exit}};
}

void preflight_request(struct service *service, bool is_forced, int64_t now) {
  service->preflight.retries = 0;
  ask_provider(service, is_forced, now);
}

/* If a check waits for others to end, their end wakes the loop. */
static int64_t deadline_of(const struct preflight *preflight, int64_t now) {
  if (preflight->deadline > now) return preflight->deadline;
  switch (preflight->phase) {
  case PREFLIGHT_WAITING:
  case PREFLIGHT_ENDED: return preflight->deadline + REST_TIME;
  case PREFLIGHT_WANTED: return CLOCK_NEVER;
  default: return preflight->deadline;
  }
}

int64_t preflight_deadline(const struct server *server) {
  int64_t next = CLOCK_NEVER;
  for (const struct service *service = server->services; service; service = service->next) {
    int64_t deadline = deadline_of(&service->preflight, server->now);
    if (deadline < next) next = deadline;
  }
  return next;
}

static bool step_check(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  switch (preflight->phase) {
  case PREFLIGHT_WAITING:
    if (may_read(service, now)) ask_provider(service, false, now);
    return false;
  case PREFLIGHT_RUNNING:
    if (preflight->deadline <= now) extend_or_kill(service, now);
    return false;
  case PREFLIGHT_OVERDUE: return !preflight->child && finish_overdue(service, now);
  case PREFLIGHT_ENDED: return may_read(service, now) && finish_ended(service, now);
  default: return false;
  }
}

bool preflight_step(struct server *server) {
  bool has_read = false;
  unsigned running = 0;
  for (struct service *service = server->services; service; service = service->next) {
    if (!server->compiling) has_read = step_check(service, server->now) || has_read;
    if (service->preflight.child) running++;
  }
  for (struct service *service = server->services; service; service = service->next) {
    const struct preflight *preflight = &service->preflight;
    bool may_begin = preflight->phase == PREFLIGHT_WANTED && preflight->deadline <= server->now;
    if (server->compiling || !may_begin || preflight->child || running >= CHECKS_MAX) continue;
    has_read = begin_check(service, server->now) || has_read;
    if (preflight->child) running++;
  }
  return has_read;
}

void preflight_end(struct server *server) {
  for (struct service *service = server->services; service; service = service->next) {
    if (service->preflight.child) close_child(service);
    set_phase(&service->preflight, PREFLIGHT_IDLE, CLOCK_NEVER);
  }
}
