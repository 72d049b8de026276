/* poller.h: which descriptors can be read or written now.
 *
 * All back ends, of which one is chosen at run time, keep the same contract and pass the same spec:
 *   1. Readiness is level-triggered: a descriptor that is still ready is reported again.
 *   2. A descriptor with an error or a hang-up is reported as readable and as writable, as far as
 *      the interest goes. epoll adds POLLER_GONE, even without interest, at every wait until the
 *      descriptor is removed; select reports nothing about a descriptor without interest.
 *      With interest in POLLER_END epoll reports that the peer has stopped sending, also behind
 *      bytes that are not read yet. select cannot: see poller_reports_ends().
 *   3. After poller_remove() no poller_wait() reports the descriptor. The events that the last
 *      poller_wait() returned may still hold it: the caller must check that (see server/).
 *   4. A descriptor that a back end cannot hold is refused with STATUS_FULL.
 *   5. A signal ends the wait early with no events and STATUS_OK. So may an event that nobody wants
 *      any more: epoll is told of less interest only then.
 *   6. Waiting allocates nothing.
 *
 * The poller owns no descriptor: poller_remove() must be called before a descriptor is closed. */
#ifndef IO_POLLER_H
#define IO_POLLER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum {
  POLLER_NONE = 0,
  POLLER_READ = 1,
  POLLER_WRITE = 2,
  POLLER_GONE = 4, /* Only in events: the descriptor has an error or a hang-up. */
  POLLER_END = 8   /* The peer of a socket has stopped sending. */
};

/* What an event belongs to. In the server, each owner of a descriptor embeds one as first member
 * and gives its address to poller_add(), so that the loop dispatches every event in the same way.
 */
struct event_handler {
  /* events: as in struct poller_event. May end the handler's owner, but must leave
   * its memory alone until the loop's turn is over. */
  void (*on_event)(struct event_handler *event_handler, unsigned events);
};

struct poller_event {
  void *owner;     /* The owner that poller_add() was given. */
  unsigned events; /* POLLER_READ | POLLER_WRITE | POLLER_GONE | POLLER_END */
};

struct poller;

/* name is "epoll" or "select". STATUS_ERROR with errno EINVAL for another name. */
enum status poller_create(const char *name, struct poller **poller);

/* Returns the name of the back end, a static string. */
const char *poller_name(const struct poller *poller);

/* False: the poller reports neither POLLER_END nor POLLER_GONE. */
bool poller_reports_ends(const struct poller *poller);

/* Starts to watch fd. `owner` is returned in its events. STATUS_FULL: this back end cannot hold it;
 * that of select holds descriptors below FD_SETSIZE. STATUS_ERROR: EBADF, EEXIST (watched already),
 * EPERM (epoll does not watch regular files). */
enum status poller_add(struct poller *poller, int fd, unsigned interest, void *owner);

/* Changes the interest in a watched descriptor. Makes no system call if it stays the same.
 * STATUS_ERROR with ENOENT: fd is not watched. */
enum status poller_change(struct poller *poller, int fd, unsigned interest);

/* Stops to watch fd, which must still be open. A descriptor that is not watched is ignored. */
void poller_remove(struct poller *poller, int fd);

/* Waits up to timeout_ms (-1: for ever, 0: not at all) and fills events[0..*count). *count is at
 * most `capacity`, which must not be 0. Events that do not fit are reported by the next call; no
 * descriptor starves. */
enum status poller_wait(struct poller *poller, int timeout_ms, struct poller_event *events,
                        size_t capacity, size_t *count);

/* Frees the poller. NULL is ignored. */
void poller_destroy(struct poller *poller);

#endif
