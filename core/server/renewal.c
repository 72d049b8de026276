#include "server/renewal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "server/server.h"

enum {
  /* How soon files are looked at again that a service has no good version of yet, in ms. */
  RETRY_TIME = 50,
  /* How soon after they were read, and how soon others are watched, in ms: a script that saves one
   * of its files whenever it is loaded is not to keep the server busy. */
  PACE = 100
};

/* Whether there may be other files to be watched. What is checked first has its own time. */
static bool renew(struct server *server, bool is_forced) {
  bool has_read = false;
  for (struct service *service = server->services; service; service = service->next) {
    const struct script_provider *provider = service->provider;
    if (provider && provider->check) {
      preflight_ask(service, is_forced, server->now);
      continue;
    }
    enum service_renewal renewal =
        provider ? provider->renew(provider->context, is_forced, server->now) : RENEWAL_NONE;
    if (renewal == RENEWAL_DONE || renewal == RENEWAL_REFUSED) has_read = true;
    if (renewal == RENEWAL_LATER && server->watcher)
      watcher_nudge(server->watcher, server->now + RETRY_TIME);
  }
  return has_read;
}

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

static size_t count_files(const struct server *server) {
  size_t count = 0;
  for (const struct service *service = server->services; service; service = service->next)
    if (service->provider) count += service->provider->count_files(service->provider->context);
  return count;
}

/* They were read before they are watched, so that they are looked at once more. A watch that cannot
 * be had for want of memory is tried again. */
static void watch_files(struct server *server) {
  struct paths paths = {.capacity = count_files(server)};
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

static void readable(struct event_handler *event_handler, unsigned events) {
  (void)events;
  struct server *server =
      (struct server *)((char *)event_handler - offsetof(struct server, changes));
  watcher_read(server->watcher, server->now);
}

enum status renewal_watch(struct server *server) {
  enum status status = watcher_create(false, &server->watcher);
  if (status != STATUS_OK) return status;
  server->changes.on_event = readable;
  server->now = clock_milliseconds();
  int fd = watcher_descriptor(server->watcher);
  if (fd >= 0) status = poller_add(server->poller, fd, POLLER_READ, &server->changes);
  watch_files(server);
  watcher_nudge(server->watcher, server->now); /* they were read a while ago */
  return status;
}

static int64_t watch_deadline(const struct server *server) {
  if (!server->watcher) return CLOCK_NEVER;
  int64_t deadline = watcher_deadline(server->watcher);
  bool has_others = count_files(server) != server->watched_files;
  return has_others && server->next_watch < deadline ? server->next_watch : deadline;
}

int64_t renewal_deadline(const struct server *server) {
  if (server->is_draining) return CLOCK_NEVER;
  if (server->is_asked_to_renew) return server->now;
  int64_t watch = watch_deadline(server), preflight = preflight_deadline(server);
  return watch < preflight ? watch : preflight;
}

/* ---- when they change ---------------------------------------------------------------------- */

/* Looking for what is to be watched is a piece of work of its own. */
static void watch_anew(struct server *server) {
  if (!server->watcher) return;
  (void)server_let_others(server);
  watch_files(server);
}

static void look_at_files(struct server *server) {
  /* A script may require a module long after it was loaded. */
  if (count_files(server) != server->watched_files && server->now >= server->next_watch)
    watch_files(server);
  if (watcher_deadline(server->watcher) > server->now) return;
  if (!watcher_settled(server->watcher, server->now)) return;
  if (renew(server, false)) watch_anew(server);
}

void renewal_look(struct server *server) {
  if (server->is_draining) return;
  if (server->watcher) look_at_files(server);
  if (server->is_asked_to_renew) {
    server->is_asked_to_renew = false;
    if (renew(server, true)) watch_anew(server);
  }
  if (preflight_look(server)) watch_anew(server);
}

void renewal_end(struct server *server) {
  if (!server->watcher) return;
  int fd = watcher_descriptor(server->watcher);
  if (fd >= 0) poller_remove(server->poller, fd);
  watcher_destroy(server->watcher);
  server->watcher = NULL;
}
