#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/poller_backend.h"

/* The most events of one epoll_wait(). The kernel moves reported descriptors to the end of its
 * ready list, so that a small batch starves no descriptor. */
enum { BATCH = 512 };

struct epoll {
  struct poller poller;
  int descriptor;
  struct epoll_event batch[BATCH];
};

static struct epoll *epoll_of(struct poller *poller) { return (struct epoll *)poller; }

static enum status epoll_poller_create(struct poller **poller) {
  struct epoll *epoll = calloc(1, sizeof *epoll);
  if (!epoll) return STATUS_NO_MEMORY;
  epoll->descriptor = epoll_create1(EPOLL_CLOEXEC);
  if (epoll->descriptor < 0) {
    free(epoll);
    return STATUS_ERROR;
  }
  *poller = &epoll->poller;
  return STATUS_OK;
}

static enum status control(struct poller *poller, int operation, int fd, unsigned armed) {
  struct epoll_event event = {.data.fd = fd};
  if (armed & POLLER_READ) event.events |= EPOLLIN;
  if (armed & POLLER_WRITE) event.events |= EPOLLOUT;
  if (armed & POLLER_END) event.events |= EPOLLRDHUP;
  if (epoll_ctl(epoll_of(poller)->descriptor, operation, fd, &event) == 0) return STATUS_OK;
  if (errno == ENOMEM) return STATUS_NO_MEMORY;
  return errno == ENOSPC ? STATUS_FULL : STATUS_ERROR; /* ENOSPC: max_user_watches is reached. */
}

/* The end of what the peer sends is reported beside its bytes, so that a change between the two
 * costs no system call. */
static enum status arm(struct poller *poller, int operation, int fd, unsigned interest) {
  unsigned armed = interest & POLLER_READ ? interest | POLLER_END : interest;
  enum status status = control(poller, operation, fd, armed);
  if (status == STATUS_OK) poller->watches[fd].armed = armed & 0xff;
  return status;
}

static enum status epoll_poller_add(struct poller *poller, int fd, unsigned interest) {
  return arm(poller, EPOLL_CTL_ADD, fd, interest);
}

/* The kernel is told of less interest only when it reports what nobody wants: most of what is not
 * wanted now does not happen before it is wanted again. */
static enum status epoll_poller_change(struct poller *poller, int fd, unsigned interest) {
  if ((interest & ~poller->watches[fd].armed) == 0) return STATUS_OK;
  return arm(poller, EPOLL_CTL_MOD, fd, interest);
}

static void epoll_poller_remove(struct poller *poller, int fd) {
  (void)control(poller, EPOLL_CTL_DEL, fd, POLLER_NONE);
}

/* epoll reports errors and hang-ups without being asked, and not always together with EPOLLIN. */
static struct poller_event translate(const struct poller_watch *watch,
                                     const struct epoll_event *event) {
  unsigned events = POLLER_NONE;
  if (event->events & EPOLLIN) events |= POLLER_READ;
  if (event->events & EPOLLOUT) events |= POLLER_WRITE;
  if (event->events & EPOLLRDHUP) events |= POLLER_END;
  if (event->events & (EPOLLERR | EPOLLHUP)) events |= watch->interest | POLLER_GONE;
  return (struct poller_event){.owner = watch->owner,
                               .events = events & (watch->interest | POLLER_GONE)};
}

static enum status epoll_poller_wait(struct poller *poller, int timeout_ms,
                                     struct poller_event *events, size_t capacity, size_t *count) {
  struct epoll *epoll = epoll_of(poller);
  int most = capacity < BATCH ? (int)capacity : BATCH;
  int ready = epoll_wait(epoll->descriptor, epoll->batch, most, timeout_ms);
  if (ready < 0) return errno == EINTR ? STATUS_OK : STATUS_ERROR;
  for (int i = 0; i < ready; i++) {
    int fd = epoll->batch[i].data.fd;
    struct poller_event event = translate(&poller->watches[fd], &epoll->batch[i]);
    if (event.events)
      events[(*count)++] = event;
    else
      (void)arm(poller, EPOLL_CTL_MOD, fd, poller->watches[fd].interest);
  }
  return STATUS_OK;
}

static void epoll_poller_destroy(struct poller *poller) {
  close(epoll_of(poller)->descriptor);
  free(epoll_of(poller));
}

const struct poller_backend poller_epoll = {
    .name = "epoll",
    .descriptor_limit = INT_MAX,
    .reports_ends = true,
    .create = epoll_poller_create,
    .add = epoll_poller_add,
    .change = epoll_poller_change,
    .remove = epoll_poller_remove,
    .wait = epoll_poller_wait,
    .destroy = epoll_poller_destroy,
};
