/* poller_backend.h: the interface of the poller's back ends. Private to them and poller.c.
 *
 * poller.c keeps the table of watches and checks the arguments: a back end is called only with
 * descriptors below its limit, and with watched ones where that is required. */
#ifndef IO_POLLER_BACKEND_H
#define IO_POLLER_BACKEND_H

#include <stdbool.h>

#include "io/poller.h"

/* The watch of one descriptor. */
struct poller_watch {
  void *owner;
  unsigned interest : 8;
  unsigned armed : 8; /* epoll: what the kernel reports, which may be more than the interest. */
  bool is_watched : 1;
};

/* A back end embeds this as the first member of its own state. */
struct poller {
  const struct poller_backend *backend;
  struct poller_watch *watches; /* Indexed by descriptor. */
  size_t watch_capacity;
};

struct poller_backend {
  const char *name;
  int descriptor_limit; /* All descriptors must be below this. */
  bool reports_ends;    /* See poller_reports_ends(). */

  /* Allocates the back end's own state, with struct poller all zeros. */
  enum status (*create)(struct poller **poller);

  /* As in poller.h. During change(), the watch has the old interest. */
  enum status (*add)(struct poller *poller, int fd, unsigned interest);
  enum status (*change)(struct poller *poller, int fd, unsigned interest);
  void (*remove)(struct poller *poller, int fd);
  enum status (*wait)(struct poller *poller, int timeout_ms, struct poller_event *events,
                      size_t capacity, size_t *count);

  /* Frees the state that create() allocated. The watches have been freed before. */
  void (*destroy)(struct poller *poller);
};

extern const struct poller_backend poller_epoll;
extern const struct poller_backend poller_select;

#endif
