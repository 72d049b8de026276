/* socket.h: the system calls on sockets, each with its retries and its answers made plain.
 *
 * All descriptors are non-blocking and close-on-exec. EINTR never reaches a caller. */
#ifndef IO_SOCKET_H
#define IO_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/span.h"
#include "base/status.h"
#include "io/address.h"

/* At most this many sockets come from one --listen address (a name can have several). */
enum { SOCKET_LISTEN_MAX = 8 };

/* Binds and listens on every address that `address` names (a name such as "localhost" has one per
 * family; with port 0 all share one free port). Looks names up, so it blocks: for the start only.
 * Addresses that this machine cannot use (EADDRNOTAVAIL, EAFNOSUPPORT) are passed over as long as
 * one is left; any other failure is the failure of all.
 * A Unix socket file that nobody listens on any more is replaced; one that is in use (EADDRINUSE)
 * or is no socket (EEXIST) is left alone. Removing the file at the end is the caller's business.
 * fds[0..*count) belong to the caller. STATUS_ERROR: nothing is left open, errno and *why (a static
 * phrase such as "bind" or a resolver's message) tell the reason. */
enum status socket_listen(const struct address *address, int backlog, int fds[SOCKET_LISTEN_MAX],
                          size_t *count, const char **why);

/* Has the kernel ask a peer that has sent nothing for so many seconds whether it is still there; if
 * it does not answer three times, a third of that time apart, the connection is broken. What is
 * set on a listener holds for all that are accepted from it. Not for Unix sockets, whose peers
 * cannot vanish unnoticed. */
enum { SOCKET_KEEPALIVE_MAX = 32767 };
enum status socket_keep_alive(int fd, int seconds);

/* Removes the file of a Unix socket that nobody listens on any more; one that a server listens on
 * is left, also when it is the socket that we have just closed and handed on. errno stays. */
void socket_remove_file(const char *path);

/* The local address of a socket; of a Unix socket only the family counts. */
enum status socket_local_address(int fd, struct sockaddr_storage *address);

/* Takes one connection from a listener's backlog; no Nagle delay on TCP.
 * STATUS_AGAIN: none is waiting (or it went away before it was taken: ECONNABORTED and its like).
 * STATUS_FULL: no descriptor or memory is left (EMFILE, ENFILE, ENOBUFS, ENOMEM), it stays queued.
 * STATUS_ERROR: the listener itself is broken (EBADF ...). */
enum status socket_accept(int listener, int *fd, struct sockaddr_storage *peer);

/* Reads up to capacity bytes, which must not be 0. STATUS_CLOSED: the peer has shut down its
 * sending side. STATUS_ERROR: the connection is broken (ECONNRESET ...). */
enum status socket_read(int fd, char *into, size_t capacity, size_t *length);

/* Writes spans[0..count) in one call; *sent may fall short of the whole, also because there were
 * many spans. `more`: other bytes follow at once, hold back a partial segment.
 * STATUS_AGAIN: the peer must read first. STATUS_ERROR: the connection is broken (EPIPE ...).
 * Never raises SIGPIPE. */
enum status socket_write(int fd, const struct span *spans, size_t count, bool more, size_t *sent);

/* Sends up to length bytes of an open file from *offset on with sendfile, and moves *offset along.
 * STATUS_CLOSED: the file ends there. STATUS_AGAIN, STATUS_ERROR: as in socket_write(), and
 * STATUS_ERROR also when the file cannot be read. Falls back to reading and writing for files
 * that sendfile does not serve. sendfile knows no MSG_NOSIGNAL: the process must not die of SIGPIPE
 * (cli/ sees to that). */
enum status socket_send_file(int fd, int file, int64_t *offset, size_t length, size_t *sent);

/* How many of the bytes that were written the peer's system has not taken yet; a FIN counts as one.
 * Of a Unix socket it is what the kernel has set aside for them, which goes down in steps of some
 * 32 KiB. 0 where it is not known. */
size_t socket_unacknowledged(int fd);

/* Whether the connection has broken, or both its sides have been closed; one of which only the
 * peer's sending side has been closed is not gone. */
bool socket_is_gone(int fd);

/* Ends the sending side (FIN); the receiving side stays open. */
void socket_shutdown_write(int fd);

/* Closes; safe on -1. With `reset` the peer gets a RST and no state lingers. */
void socket_close(int fd, bool reset);

#endif
