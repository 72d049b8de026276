#include "io/poller.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/poller_backend.h"

static const struct poller_backend *const backends[] = {&poller_epoll, &poller_select};

enum status poller_create(const char *name, struct poller **poller) {
  for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
    if (strcmp(backends[i]->name, name) != 0) continue;
    enum status status = backends[i]->create(poller);
    if (status == STATUS_OK) (*poller)->backend = backends[i];
    return status;
  }
  errno = EINVAL;
  return STATUS_ERROR;
}

const char *poller_name(const struct poller *poller) { return poller->backend->name; }

/* Returns the watch of fd; NULL: fd is not watched. */
static struct poller_watch *find_watch(const struct poller *poller, int fd) {
  if (fd < 0 || (size_t)fd >= poller->watch_capacity) return NULL;
  struct poller_watch *watch = &poller->watches[fd];
  return watch->is_watched ? watch : NULL;
}

static enum status make_room(struct poller *poller, int fd) {
  size_t needed = (size_t)fd + 1;
  if (needed <= poller->watch_capacity) return STATUS_OK;
  size_t capacity = poller->watch_capacity ? poller->watch_capacity : 64;
  while (capacity < needed) capacity *= 2;
  struct poller_watch *watches = realloc(poller->watches, capacity * sizeof *watches);
  if (!watches) return STATUS_NO_MEMORY;
  memset(watches + poller->watch_capacity, 0,
         (capacity - poller->watch_capacity) * sizeof *watches);
  poller->watches = watches;
  poller->watch_capacity = capacity;
  return STATUS_OK;
}

static enum status refuse(int error) {
  errno = error;
  return STATUS_ERROR;
}

bool poller_reports_ends(const struct poller *poller) { return poller->backend->reports_ends; }

enum status poller_add(struct poller *poller, int fd, unsigned interest, void *owner) {
  if (fd < 0) return refuse(EBADF);
  if (fd >= poller->backend->descriptor_limit) return STATUS_FULL;
  if (find_watch(poller, fd)) return refuse(EEXIST);
  enum status status = make_room(poller, fd);
  if (status != STATUS_OK) return status;
  poller->watches[fd] =
      (struct poller_watch){.owner = owner, .interest = interest & 0xff, .is_watched = true};
  status = poller->backend->add(poller, fd, interest);
  if (status != STATUS_OK) poller->watches[fd] = (struct poller_watch){0};
  return status;
}

enum status poller_change(struct poller *poller, int fd, unsigned interest) {
  struct poller_watch *watch = find_watch(poller, fd);
  if (!watch) return refuse(ENOENT);
  if (watch->interest == interest) return STATUS_OK;
  enum status status = poller->backend->change(poller, fd, interest);
  if (status == STATUS_OK) watch->interest = interest & 0xff;
  return status;
}

void poller_remove(struct poller *poller, int fd) {
  struct poller_watch *watch = find_watch(poller, fd);
  if (!watch) return;
  poller->backend->remove(poller, fd);
  *watch = (struct poller_watch){0};
}

enum status poller_wait(struct poller *poller, int timeout_ms, struct poller_event *events,
                        size_t capacity, size_t *count) {
  assert(capacity > 0);
  *count = 0;
  return poller->backend->wait(poller, timeout_ms, events, capacity, count);
}

void poller_destroy(struct poller *poller) {
  if (!poller) return;
  free(poller->watches);
  poller->backend->destroy(poller);
}
