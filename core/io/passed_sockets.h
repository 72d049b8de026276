/* passed_sockets.h: the sockets that systemd has opened for this process: socket activation.
 *
 * The protocol is that of sd_listen_fds(3): the descriptors begin at 3, and three variables of the
 * environment tell for which process they are, how many there are, and their names. */
#ifndef IO_PASSED_SOCKETS_H
#define IO_PASSED_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "io/address.h"

/* All zeros: no socket was passed. */
struct passed_sockets {
  size_t count;
  const char *names; /* "web:admin"; NULL: none has a name. */
  bool *is_taken;    /* Of each socket. */
};

/* Takes the values of LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES; NULL stands for one that is not
 * set. The descriptors become non-blocking and close-on-exec. `names` must stay valid. If the
 * sockets are for another process, there are none. STATUS_ERROR: there is no memory, or a
 * descriptor is not open (errno is EBADF). */
enum status passed_sockets_init(struct passed_sockets *sockets, const char *pid, const char *count,
                                const char *names);

/* Takes the next socket of this name that nobody has taken; "": of any name. `address` gets its
 * host, its port and its kind, and the descriptor, which belongs to the caller. STATUS_CLOSED:
 * there is no other. STATUS_ERROR: it cannot be served, and *why (a static phrase) tells the
 * reason. */
enum status passed_sockets_take(struct passed_sockets *sockets, const char *name,
                                struct address *address, const char **why);

/* Closes the sockets that nobody has taken, frees, and returns how many those were. */
size_t passed_sockets_deinit(struct passed_sockets *sockets);

#endif
