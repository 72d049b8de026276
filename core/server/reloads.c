#include "server/reloads.h"

#include <stdlib.h>

#include "base/clock.h"
#include "server/preflight.h"

enum {
  /* The ms until a service that has returned RELOAD_LATER is asked again. */
  RETRY_TIME = 50,
  /* The ms until files that were just read are looked at again, and until the set of watched files
   * changes again. A script that saves one of its files each time that it is loaded must not keep
   * the server busy. */
  PACE = 100
};

/* ---- what is watched ----------------------------------------------------------------------- */

struct paths {
  const char **items;
  size_t count;
  size_t capacity;
};

static void add_path(void *context, const char *path) {
  struct paths *paths = context;
  if (paths->count < paths->capacity) paths->items[paths->count++] = path;
}

static size_t count_all_files(const struct server *server) {
  size_t count = 0;
  for (const struct service *service = server->services; service; service = service->next)
    if (service->provider) count += service->provider->count_files(service->provider->context);
  return count;
}

/* The files were read before they are watched, so they are looked at once more. If there is no
 * memory, it is tried again. */
static void watch_files(struct server *server) {
  struct paths paths = {.capacity = count_all_files(server)};
  server->next_watch = server->now + PACE;
  paths.items = calloc(paths.capacity + 1, sizeof *paths.items);
  if (!paths.items) return;
  for (const struct service *service = server->services; service; service = service->next)
    if (service->provider)
      service->provider->each_file(service->provider->context, add_path, &paths);
  if (watcher_watch(server->watcher, paths.items, paths.count) == STATUS_OK) {
    server->watched_files = paths.capacity;
    watcher_nudge(server->watcher, server->next_watch);
  }
  free(paths.items);
}

static void on_files_changed(struct event_handler *event_handler, unsigned events) {
  (void)events;
  struct server *server =
      (struct server *)((char *)event_handler - offsetof(struct server, changes));
  watcher_read(server->watcher, server->now);
}

enum status reloads_watch(struct server *server) {
  enum status status = watcher_create(false, &server->watcher);
  if (status != STATUS_OK) return status;
  server->changes.on_event = on_files_changed;
  server->now = clock_milliseconds();
  int fd = watcher_descriptor(server->watcher);
  if (fd >= 0) status = poller_add(server->poller, fd, POLLER_READ, &server->changes);
  watch_files(server);
  watcher_nudge(server->watcher, server->now); /* The files were read a while ago. */
  return status;
}

static int64_t watch_deadline(const struct server *server) {
  if (!server->watcher) return CLOCK_NEVER;
  int64_t deadline = watcher_deadline(server->watcher);
  bool has_others = count_all_files(server) != server->watched_files;
  return has_others && server->next_watch < deadline ? server->next_watch : deadline;
}

/* While a version is compiled, only server_wake() continues the reload. */
int64_t reloads_deadline(const struct server *server) {
  if (server->is_draining || server->compiling) return CLOCK_NEVER;
  if (server->is_asked_to_reload) return server->now;
  int64_t watch = watch_deadline(server), preflight = preflight_deadline(server);
  return watch < preflight ? watch : preflight;
}

/* ---- when they change ---------------------------------------------------------------------- */

static void request_all(struct server *server, enum reload_request request) {
  for (struct service *service = server->services; service; service = service->next)
    if (service->provider && service->reload_request < request) service->reload_request = request;
}

static void notice_changes(struct server *server) {
  /* A script may require a module long after it was loaded. */
  if (count_all_files(server) != server->watched_files && server->now >= server->next_watch)
    watch_files(server);
  if (watcher_deadline(server->watcher) > server->now) return;
  if (watcher_settled(server->watcher, server->now)) request_all(server, RELOAD_REQUEST_CHANGED);
}

/* True: the files of the service were read, and the set of files to watch may have changed. */
static bool reload_service(struct service *service, bool is_forced) {
  struct server *server = service->server;
  const struct script_provider *provider = service->provider;
  switch (provider->reload(provider->context, is_forced, server->now)) {
  case RELOAD_DONE:
  case RELOAD_REFUSED: return true;
  case RELOAD_COMPILING: server->compiling = service; return false;
  case RELOAD_LATER:
    /* Without a watcher the next SIGHUP tries again. The retry is not a forced one. */
    if (server->watcher) watcher_nudge(server->watcher, server->now + RETRY_TIME);
    return false;
  default: return false;
  }
}

/* If the service has a check, this only clears `compiling`, and preflight_step() continues. */
static bool continue_reload(struct service *service) {
  service->server->compiling = NULL;
  return !service->provider->check && reload_service(service, false);
}

static bool grant_request(struct service *service) {
  bool is_forced = service->reload_request == RELOAD_REQUEST_FORCED;
  if (service->reload_request == RELOAD_REQUEST_NONE) return false;
  service->reload_request = RELOAD_REQUEST_NONE;
  if (!service->provider->check) return reload_service(service, is_forced);
  preflight_request(service, is_forced, service->server->now);
  return false;
}

/* The next turn finds out which files must be watched. */
static void watch_anew(struct server *server) {
  server->watched_files = SIZE_MAX;
  server->next_watch = server->now;
}

void reloads_run(struct server *server) {
  bool has_read = false;
  if (server->is_draining || (server->compiling && !server->is_woken)) return;
  server->is_woken = false;
  if (server->compiling) has_read = continue_reload(server->compiling);
  if (server->compiling) return;
  if (server->watcher) notice_changes(server);
  if (server->is_asked_to_reload) request_all(server, RELOAD_REQUEST_FORCED);
  server->is_asked_to_reload = false;
  for (struct service *one = server->services; one && !server->compiling; one = one->next)
    has_read = grant_request(one) || has_read;
  if (!server->compiling) has_read = preflight_step(server) || has_read;
  if (has_read) watch_anew(server);
}

bool reloads_are_under_way(const struct server *server) {
  if (server->is_asked_to_reload || server->compiling) return true;
  for (const struct service *service = server->services; service; service = service->next) {
    enum preflight_phase phase = service->preflight.phase;
    if (service->reload_request != RELOAD_REQUEST_NONE) return true;
    if (phase != PREFLIGHT_IDLE && phase != PREFLIGHT_WAITING) return true;
  }
  return false;
}

void reloads_end(struct server *server) {
  if (!server->watcher) return;
  int fd = watcher_descriptor(server->watcher);
  if (fd >= 0) poller_remove(server->poller, fd);
  watcher_destroy(server->watcher);
  server->watcher = NULL;
}
