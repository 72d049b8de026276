#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/select.h>

#include "io/poller_backend.h"

struct select {
  struct poller poller;
  fd_set readable; /* The descriptors with interest in reading. */
  fd_set writable; /* The descriptors with interest in writing. */
  int end;         /* All watched descriptors are below it. */
  int next;        /* The descriptor that collect() begins with, so that low ones do not win. */
};

static struct select *select_of(struct poller *poller) { return (struct select *)poller; }

static enum status select_poller_create(struct poller **poller) {
  struct select *state = calloc(1, sizeof *state);
  if (!state) return STATUS_NO_MEMORY;
  FD_ZERO(&state->readable);
  FD_ZERO(&state->writable);
  *poller = &state->poller;
  return STATUS_OK;
}

static enum status select_poller_change(struct poller *poller, int fd, unsigned interest) {
  struct select *state = select_of(poller);
  FD_CLR(fd, &state->readable);
  FD_CLR(fd, &state->writable);
  if (interest & POLLER_READ) FD_SET(fd, &state->readable);
  if (interest & POLLER_WRITE) FD_SET(fd, &state->writable);
  return STATUS_OK;
}

static enum status select_poller_add(struct poller *poller, int fd, unsigned interest) {
  /* One closed descriptor in the set would make every later select() fail. */
  if (fcntl(fd, F_GETFD) < 0) return STATUS_ERROR;
  if (fd >= select_of(poller)->end) select_of(poller)->end = fd + 1;
  return select_poller_change(poller, fd, interest);
}

static void select_poller_remove(struct poller *poller, int fd) {
  struct select *state = select_of(poller);
  (void)select_poller_change(poller, fd, POLLER_NONE);
  if (fd + 1 < state->end) return;
  do state->end--;
  while (state->end > 0 && !poller->watches[state->end - 1].is_watched);
}

/* Fills the events, beginning with the descriptor state->next and wrapping around at the end. */
static size_t collect(struct select *state, const fd_set *readable, const fd_set *writable,
                      struct poller_event *events, size_t capacity) {
  size_t count = 0;
  int fd = state->next < state->end ? state->next : 0;
  for (int seen = 0; seen < state->end && count < capacity; seen++) {
    unsigned ready = POLLER_NONE;
    if (FD_ISSET(fd, readable)) ready |= POLLER_READ;
    if (FD_ISSET(fd, writable)) ready |= POLLER_WRITE;
    if (ready)
      events[count++] =
          (struct poller_event){.owner = state->poller.watches[fd].owner, .events = ready};
    if (++fd == state->end) fd = 0;
  }
  state->next = fd;
  return count;
}

static enum status select_poller_wait(struct poller *poller, int timeout_ms,
                                      struct poller_event *events, size_t capacity, size_t *count) {
  struct select *state = select_of(poller);
  fd_set readable = state->readable;
  fd_set writable = state->writable;
  struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000L};
  int ready = select(state->end, &readable, &writable, NULL, timeout_ms < 0 ? NULL : &timeout);
  if (ready < 0) return errno == EINTR ? STATUS_OK : STATUS_ERROR;
  if (ready > 0) *count = collect(state, &readable, &writable, events, capacity);
  return STATUS_OK;
}

static void select_poller_destroy(struct poller *poller) { free(select_of(poller)); }

const struct poller_backend poller_select = {
    .name = "select",
    .descriptor_limit = FD_SETSIZE,
    .create = select_poller_create,
    .add = select_poller_add,
    .change = select_poller_change,
    .remove = select_poller_remove,
    .wait = select_poller_wait,
    .destroy = select_poller_destroy,
};
