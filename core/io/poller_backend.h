/* poller_backend.h: what poller.c and its back ends share; private to them.
 *
 * poller.c keeps the table of watches and answers for the parts of the contract that are the same
 * everywhere: a back end sees only known, open descriptors below its limit. */
#ifndef IO_POLLER_BACKEND_H
#define IO_POLLER_BACKEND_H

#include "io/poller.h"

/* What a descriptor is watched for, and on whose behalf. */
struct poller_watch {
  void *owner;
  unsigned interest;
  bool watched;
};

/* A back end embeds this as first member of its own state. */
struct poller {
  const struct poller_backend *backend;
  struct poller_watch *watches; /* by descriptor */
  size_t watch_capacity;
};

struct poller_backend {
  const char *name;
  int descriptor_limit; /* it holds descriptors below this; INT_MAX: any */

  /* Allocates the back end's own state, all else in struct poller zero. */
  enum status (*create)(struct poller **poller);

  /* As in poller.h. At a change, the watch still shows the interest that was. */
  enum status (*add)(struct poller *poller, int fd, unsigned interest);
  enum status (*change)(struct poller *poller, int fd, unsigned interest);
  void (*remove)(struct poller *poller, int fd);
  enum status (*wait)(struct poller *poller, int timeout_ms, struct poller_event *events,
                      size_t capacity, size_t *count);

  /* Frees what create() made; the watches are gone by then. */
  void (*destroy)(struct poller *poller);
};

extern const struct poller_backend poller_epoll;
extern const struct poller_backend poller_select;

#endif
