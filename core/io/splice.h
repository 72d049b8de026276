/* splice.h: moves bytes from one socket to another in the kernel, with splice(2) through a pipe.
 *
 * A way is one direction. It holds a pipe only while bytes are in it: when the socket that they go
 * to takes no more. Many ways share the pipes. Where there is no pipe, or a socket cannot be
 * spliced, the bytes are copied; they stay in the socket that they come from until the other one
 * takes them. */
#ifndef IO_SPLICE_H
#define IO_SPLICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/channel.h"
#include "base/status.h"

/* The most pipes that are kept, and the most that ways may hold. */
enum { SPLICE_SPARE_MAX = 4, SPLICE_PIPES_MAX = 128 };

struct splice_pipe {
  int to_read;
  int to_write;
};

/* The pipes of one loop. All zeros: there are none. */
struct splice_pipes {
  struct splice_pipe spare[SPLICE_SPARE_MAX];
  size_t spare_count;
  size_t count; /* Of all pipes, the spare ones among them. */
};

/* All zeros at first. */
struct splice_way {
  struct splice_pipe pipe; /* If `held` is not 0. */
  size_t held;             /* Bytes in the pipe. */
  bool is_blocked;         /* The socket that they go to takes no more. */
  bool has_ended;          /* The socket that they come from brings no more. */
};

/* The descriptor of a channel that is a socket; -1: it is something else, or broken. */
int splice_descriptor(const struct channel *channel);

/* Moves bytes until there were `budget`, or up to a pipe more, and adds to *moved how many the
 * socket `to` has taken. STATUS_OK: there may be more. STATUS_AGAIN: `from` has none now, or the
 * way is blocked. STATUS_CLOSED: `from` has ended, and `to` has taken all. STATUS_ERROR: one of the
 * two is broken. SIGPIPE must be caught (signals.h). */
enum status splice_move(struct splice_way *way, struct splice_pipes *pipes, int from, int to,
                        size_t budget, size_t *moved);

/* Drops what the way holds. */
void splice_end(struct splice_way *way, struct splice_pipes *pipes);

/* Closes the spare pipes. No way may hold one. */
void splice_pipes_close(struct splice_pipes *pipes);

#endif
