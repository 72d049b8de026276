/* poller.h: which descriptors can be read or written now.
 *
 * One contract, several back ends chosen at run time; a shared spec holds them all to it:
 *   1. Readiness is by level: what is not dealt with is reported again.
 *   2. A descriptor whose peer is gone (error, hang-up) is reported as readable and as writable, in
 *      so far as it was asked for. epoll adds POLLER_GONE, also when nothing was asked for, and
 *      does so at every wait until the descriptor is removed; select cannot tell.
 *   3. After poller_remove() a descriptor is never reported again, not even from events that the
 *      last poller_wait() already returned: the caller must check that (see server/).
 *   4. A descriptor that a back end cannot hold is refused with STATUS_FULL, before any harm.
 *   5. A signal ends the wait early with no events and STATUS_OK.
 *   6. Waiting allocates nothing.
 *
 * The poller owns no descriptor: it must be told of one before the descriptor is closed. */
#ifndef IO_POLLER_H
#define IO_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
  POLLER_NONE = 0,
  POLLER_READ = 1,
  POLLER_WRITE = 2,
  POLLER_GONE = 4 /* only in events: the descriptor has failed or hung up */
};

struct poller_event {
  void *owner;     /* what poller_add() was given */
  unsigned events; /* POLLER_READ | POLLER_WRITE | POLLER_GONE */
};

struct poller;

/* name is "epoll" or "select". STATUS_ERROR with errno EINVAL for another name. */
enum status poller_create(const char *name, struct poller **poller);

/* The back end's name; static. */
const char *poller_name(const struct poller *poller);

/* The number that descriptors must stay below, or INT_MAX: select's FD_SETSIZE. */
int poller_descriptor_limit(const struct poller *poller);

/* Starts to watch fd; owner comes back in its events. STATUS_FULL: this back end cannot hold it.
 * STATUS_ERROR: EBADF, EEXIST (watched already), EPERM (epoll does not watch regular files). */
enum status poller_add(struct poller *poller, int fd, unsigned interest, void *owner);

/* Changes what a watched descriptor is watched for; free of charge if that is the same as before.
 * STATUS_ERROR with ENOENT: it is not watched. */
enum status poller_change(struct poller *poller, int fd, unsigned interest);

/* Forgets fd. It must still be open. Unknown descriptors are ignored. */
void poller_remove(struct poller *poller, int fd);

/* Waits up to timeout_ms (-1: for ever, 0: not at all) and fills events[0..*count), count at most
 * capacity, which must not be 0. What does not fit is reported by the next call; no descriptor
 * starves. */
enum status poller_wait(struct poller *poller, int timeout_ms, struct poller_event *events,
                        size_t capacity, size_t *count);

/* NULL is ignored. */
void poller_destroy(struct poller *poller);

#endif
