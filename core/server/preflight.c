#include "server/preflight.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/loop.h"

enum {
  CHECKS_MAX = 2,   /* at a time: the machine is there for those who are served */
  FIRST_RETRY = 50, /* ms until it is tried again; each further time twice that, */
  DOUBLED_MAX = 5,  /* so often */
  REST_TIME = 2000, /* ms for files that are being written to come to rest */
  WHY_MAX = 128
};

/* ---- the program --------------------------------------------------------------------------- */

static void stop_polling(const struct service *service, bool *is_polled, int fd) {
  if (*is_polled) poller_remove(service->server->poller, fd);
  *is_polled = false;
}

static void stop_listening(struct service *service) {
  struct preflight *preflight = &service->preflight;
  stop_polling(service, &preflight->prints, child_output_fd(preflight->child));
  stop_polling(service, &preflight->lives, child_exit_fd(preflight->child));
}

/* An event may come late, for a program that is no more: then there is nothing to be read. */
static void readable(struct service *service) {
  struct preflight *preflight = &service->preflight;
  struct child *child = preflight->child;
  if (!child || preflight->has_ended) return;
  if (preflight->prints && !child_read(child))
    stop_polling(service, &preflight->prints, child_output_fd(child));
  preflight->has_ended = child_has_exited(child, &preflight->end);
  if (preflight->has_ended) stop_listening(service);
}

static void output_readable(struct io_source *source, unsigned events) {
  (void)events;
  readable((struct service *)((char *)source - offsetof(struct service, preflight.output)));
}

static void life_readable(struct io_source *source, unsigned events) {
  (void)events;
  readable((struct service *)((char *)source - offsetof(struct service, preflight.life)));
}

static void close_child(struct service *service) {
  struct preflight *preflight = &service->preflight;
  stop_listening(service);
  child_destroy(preflight->child);
  preflight->child = NULL;
  preflight->has_ended = false;
}

/* A check that is not wanted any more. What is killed ends soon, and nobody waits for that. */
static void drop(struct service *service) {
  struct preflight *preflight = &service->preflight;
  preflight->is_wanted = false;
  preflight->is_forced = false;
  if (!preflight->child || preflight->is_stale) return;
  preflight->is_stale = true;
  child_kill(preflight->child);
}

/* When it is to be tried again. */
static int64_t retry_time(struct preflight *preflight, int64_t now) {
  if (preflight->retries < DOUBLED_MAX) preflight->retries++;
  return now + (FIRST_RETRY / 2 << preflight->retries);
}

static enum status start(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  struct poller *poller = service->server->poller;
  enum status status = child_start(service->source->check, &preflight->child);
  if (status != STATUS_OK) return status;
  preflight->is_stale = preflight->is_late = preflight->has_ended = false;
  preflight->deadline = now + service->source->check_time;
  preflight->rest_by = CLOCK_NEVER;
  status = poller_add(poller, child_exit_fd(preflight->child), POLLER_READ, &preflight->life);
  preflight->lives = status == STATUS_OK;
  if (status == STATUS_OK) {
    status = poller_add(poller, child_output_fd(preflight->child), POLLER_READ, &preflight->output);
    preflight->prints = status == STATUS_OK;
    if (status == STATUS_OK) return STATUS_OK;
  }
  int error = errno;
  close_child(service);
  errno = error;
  return status;
}

/* ---- what there is to check ---------------------------------------------------------------- */

static void retry(struct preflight *preflight, int64_t when) {
  preflight->due = when;
  preflight->is_retry = true;
}

/* A file is not to be met half written. But it may be another service's, and written for hours:
 * then this says no, for a while from the first time on. */
static bool may_read(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  struct watcher *watcher = service->server->watcher;
  bool is_written = watcher && !watcher_is_at_rest(watcher, now);
  if (is_written && preflight->rest_by == CLOCK_NEVER) preflight->rest_by = now + REST_TIME;
  if (is_written && preflight->rest_by > now) return false;
  preflight->rest_by = CLOCK_NEVER;
  return true;
}

static void look(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  bool is_forced = preflight->is_forced || preflight->is_asked_to_force;
  preflight->due = preflight->rest_by = CLOCK_NEVER;
  preflight->is_retry = false;
  enum service_renewal found = service->source->renew(service->source->context, is_forced, now);
  if (found != RENEWAL_CHECKING) drop(service);
  if (found == RENEWAL_LATER) retry(preflight, now + FIRST_RETRY);
  preflight->is_asked_to_force = is_forced && found == RENEWAL_LATER;
  preflight->is_wanted = preflight->is_wanted || found == RENEWAL_CHECK;
  preflight->is_forced = is_forced && (found == RENEWAL_CHECK || found == RENEWAL_CHECKING);
}

/* What has been checked may have changed once more: then it is tried again, and not too often. */
static bool judge(struct service *service, const struct service_finding *finding, int64_t now) {
  struct preflight *preflight = &service->preflight;
  const struct service_source *source = service->source;
  bool is_forced = preflight->is_forced;
  preflight->is_forced = false;
  enum service_renewal renewal = source->judge(source->context, is_forced, finding, now);
  if (renewal == RENEWAL_LATER) {
    retry(preflight, retry_time(preflight, now));
    preflight->is_asked_to_force = is_forced;
  }
  return renewal == RENEWAL_DONE || renewal == RENEWAL_REFUSED;
}

static const char *status_text(enum status status) {
  switch (status) {
  case STATUS_FULL: return "the poller is full";
  case STATUS_NO_MEMORY: return "not enough memory";
  default: return strerror(errno);
  }
}

static void put_off(struct service *service, const char *why, int64_t now) {
  struct log_line line;
  struct preflight *preflight = &service->preflight;
  preflight->is_wanted = true;
  preflight->not_before = retry_time(preflight, now);
  if (preflight->retries > 1 || !log_begin(&line, LOG_WARN, "check_put_off")) return;
  log_text(&line, "service", service->name);
  log_text(&line, "detail", why);
  log_end(&line);
}

/* The machine may only just have no process, or no memory, to spare. */
static bool begin(struct service *service, int64_t now) {
  char why[WHY_MAX];
  struct preflight *preflight = &service->preflight;
  preflight->is_wanted = false;
  enum status status = start(service, now);
  if (status == STATUS_OK) return false;
  snprintf(why, sizeof why, "the check could not be started: %s", status_text(status));
  if (preflight->retries < DOUBLED_MAX) {
    put_off(service, why, now);
    return false;
  }
  return judge(service, &(struct service_finding){.why = why}, now);
}

static bool finish(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  char why[WHY_MAX] = "";
  struct service_finding finding = {.status = preflight->end.status,
                                    .text = child_text(preflight->child)};
  if (preflight->is_late)
    snprintf(why, sizeof why, "the check did not end within %g s",
             (double)service->source->check_time / 1000);
  else if (preflight->end.signal > 0)
    snprintf(why, sizeof why, "the check was ended by signal %d", preflight->end.signal);
  if (why[0] != '\0') finding.why = why;
  bool has_read = !preflight->is_stale && judge(service, &finding, now);
  close_child(service);
  return has_read;
}

/* ---- the turn ------------------------------------------------------------------------------ */

static bool has_check(const struct service *service) {
  return service->source && service->source->check;
}

void preflight_init(struct service *service) {
  service->preflight = (struct preflight){.output = {.ready = output_readable},
                                          .life = {.ready = life_readable},
                                          .due = CLOCK_NEVER,
                                          .rest_by = CLOCK_NEVER};
}

void preflight_ask(struct service *service, bool is_forced, int64_t now) {
  struct preflight *preflight = &service->preflight;
  preflight->due = now;
  preflight->not_before = now;
  preflight->is_retry = false;
  preflight->retries = 0;
  preflight->is_asked_to_force = preflight->is_asked_to_force || is_forced;
}

static bool may_be_late(const struct preflight *preflight) {
  return preflight->child && !preflight->has_ended && !preflight->is_stale && !preflight->is_late;
}

/* What is wanted, and may begin, has no time of its own: the end of another check wakes the loop.
 */
int64_t preflight_deadline(const struct server *server) {
  int64_t next = CLOCK_NEVER;
  for (const struct service *service = server->services; service; service = service->next) {
    const struct preflight *preflight = &service->preflight;
    bool is_put_off = preflight->is_wanted && preflight->not_before > server->now;
    if (preflight->due < next) next = preflight->due;
    if (is_put_off && preflight->not_before < next) next = preflight->not_before;
    if (preflight->has_ended && preflight->rest_by < next) next = preflight->rest_by;
    if (may_be_late(preflight) && preflight->deadline < next) next = preflight->deadline;
  }
  return next;
}

static bool look_at(struct service *service, int64_t now) {
  struct preflight *preflight = &service->preflight;
  bool has_read = false;
  if (preflight->child && preflight->has_ended && may_read(service, now))
    has_read = finish(service, now);
  if (preflight->due <= now && preflight->is_retry && !may_read(service, now))
    preflight->due = preflight->rest_by;
  if (preflight->due <= now) look(service, now);
  if (may_be_late(preflight) && preflight->deadline <= now) {
    preflight->is_late = true;
    child_kill(preflight->child);
  }
  return has_read;
}

bool preflight_look(struct server *server) {
  bool has_read = false;
  unsigned running = 0;
  for (struct service *service = server->services; service; service = service->next) {
    if (has_check(service)) has_read = look_at(service, server->now) || has_read;
    if (service->preflight.child) running++;
  }
  for (struct service *service = server->services; service; service = service->next) {
    const struct preflight *preflight = &service->preflight;
    bool may_begin = preflight->is_wanted && preflight->not_before <= server->now;
    if (!may_begin || preflight->child || running >= CHECKS_MAX) continue;
    has_read = begin(service, server->now) || has_read;
    if (preflight->child) running++;
  }
  return has_read;
}

void preflight_end(struct server *server) {
  for (struct service *service = server->services; service; service = service->next) {
    service->preflight.due = CLOCK_NEVER;
    service->preflight.is_wanted = false;
    if (service->preflight.child) close_child(service);
  }
}
