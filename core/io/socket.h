/* socket.h: the system calls on sockets, with retries and an enum status as the result.
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

/* The most sockets that one --listen address opens (a name can have several addresses). */
enum { SOCKET_LISTEN_MAX = 8 };

/* Who may connect to a Unix socket: the mode and the group of its file. All zeros: 0777 without the
 * bits of the umask, and the group of the process. */
struct socket_access {
  bool has_mode;
  bool has_group;
  mode_t mode; /* 0 to 0777 */
  gid_t group;
};

/* Binds, and for TCP listens, on every address of `address` (a name such as "localhost" has one per
 * family; with port 0 all share one free port). Looks up names, which blocks: only for the start.
 * Addresses that this machine cannot use (EADDRNOTAVAIL, EAFNOSUPPORT) are skipped if at least one
 * is left; any other failure is the failure of all. `access` is for Unix sockets: nobody can
 * connect before the file has this mode and this group. The file of a Unix socket that nobody
 * listens on any more is replaced. A socket that is in use (EADDRINUSE), or another file (EEXIST),
 * is left alone. The caller removes the file at the end. fds[0..*count) belong to the caller.
 * STATUS_ERROR: nothing is left open; errno and *why (a static phrase such as "bind" or a
 * resolver's message) tell the reason. */
enum status socket_listen(const struct address *address, const struct socket_access *access,
                          int backlog, int fds[SOCKET_LISTEN_MAX], size_t *count, const char **why);

/* Turns on TCP keep-alive: after so many seconds without a byte from the peer, the kernel sends up
 * to three probes, a third of that time apart, and breaks the connection if none is answered.
 * Connections inherit the setting from their listener. Not for Unix sockets, whose peers cannot
 * vanish unnoticed. */
enum { SOCKET_KEEPALIVE_MAX = 32767 };
enum status socket_keep_alive(int fd, int seconds);

/* Removes the file of a Unix socket that nobody listens on any more. errno stays as it was. */
void socket_remove_file(const char *path);

/* Stores the local address of a socket. For a Unix socket only the family is valid. */
enum status socket_local_address(int fd, struct sockaddr_storage *address);

/* Accepts one connection from a listener's backlog, and turns off Nagle's algorithm on TCP.
 * STATUS_AGAIN: the backlog is empty, or the connection has failed before (ECONNABORTED ...).
 * STATUS_FULL: no descriptor or memory is left (EMFILE, ENFILE, ENOBUFS, ENOMEM); the connection
 * stays in the backlog. STATUS_ERROR: the listener itself is broken (EBADF ...). */
enum status socket_accept(int listener, int *fd, struct sockaddr_storage *peer);

/* Reads up to capacity bytes, which must not be 0. STATUS_CLOSED: the peer has shut down its
 * sending side. STATUS_ERROR: the connection is broken (ECONNRESET ...). */
enum status socket_read(int fd, char *into, size_t capacity, size_t *length);

/* As socket_read(), but the bytes stay in the socket. */
enum status socket_peek(int fd, char *into, size_t capacity, size_t *length);

/* Writes spans[0..count) with one system call. *sent may be less than their sum, also because there
 * are many spans. `more`: other bytes follow at once, and a partial segment is held back.
 * STATUS_AGAIN: the peer must read first. STATUS_ERROR: the connection is broken (EPIPE ...).
 * Never raises SIGPIPE. */
enum status socket_write(int fd, const struct span *spans, size_t count, bool more, size_t *sent);

/* Sends up to `length` bytes of an open file from *offset on with sendfile(), and advances *offset.
 * STATUS_CLOSED: the file ends there. STATUS_AGAIN, STATUS_ERROR: as for socket_write(), and
 * STATUS_ERROR also when the file cannot be read. Files that sendfile() does not support are read
 * and written. sendfile() has no MSG_NOSIGNAL: SIGPIPE must be caught (signals.h). */
enum status socket_send_file(int fd, int file, int64_t *offset, size_t length, size_t *sent);

/* Returns how many of the bytes written the peer's kernel has not acknowledged; a FIN counts as
 * one. For a Unix socket it is the memory that the bytes take in the kernel, which shrinks in steps
 * of some 32 KiB. 0 if it is not known. */
size_t socket_unacknowledged(int fd);

/* Where the peer of a connected socket is, whether or not bytes of it are still to be read. */
enum socket_peer {
  SOCKET_PEER_THERE,
  SOCKET_PEER_ENDED, /* It has stopped sending. It may still read. */
  SOCKET_PEER_GONE,  /* Both directions are closed. What it sent before can still be read. */
  SOCKET_PEER_BROKEN /* The connection was reset, or has another error. */
};
enum socket_peer socket_peer(int fd);

/* Ends the sending side (FIN); the receiving side stays open. */
void socket_shutdown_write(int fd);

/* Closes. -1 is ignored. `reset`: the peer gets a RST, and the kernel keeps no state. */
void socket_close(int fd, bool reset);

#endif
