/* datagram_socket.h: the datagrams of a UDP listener (socket.h opens it), many with one system
 * call.
 *
 * Each datagram comes with its route: who has sent it, and to which address of this machine. The
 * answer takes the same route back, so that it leaves from the address that was asked. */
#ifndef IO_DATAGRAM_SOCKET_H
#define IO_DATAGRAM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "base/status.h"
#include "io/address.h"

/* The most bytes of a datagram that UDP can carry, and of those that are received at once. */
enum { DATAGRAM_SOCKET_MAX = 65535, DATAGRAM_SOCKET_BATCH = 32 };

struct datagram_route {
  union peer_address peer;
  bool has_own; /* `own` is known: the socket is bound to every address. */
  union {
    struct in_addr ipv4;
    struct in6_addr ipv6;
  } own;
  unsigned link; /* The index of the interface, for an IPv6 address of one link; 0: any. */
};

/* Has the kernel tell the own address of each datagram, if the socket is bound to all of them.
 * STATUS_ERROR: errno tells why. */
enum status datagram_socket_prepare(int fd);

/* ---- receiving ----------------------------------------------------------------------------- */

/* Room for a batch. Memory that no datagram has needed is not used. */
struct datagram_inbox;

/* NULL: there is no memory. */
struct datagram_inbox *datagram_inbox_create(void);
void datagram_inbox_destroy(struct datagram_inbox *inbox);

/* Receives up to `most` datagrams, at least 1 and at most DATAGRAM_SOCKET_BATCH; *count is how
 * many. STATUS_AGAIN: there is none. STATUS_ERROR: the socket is broken (EBADF ...). What the
 * network reports of datagrams that were sent before is no error. */
enum status datagram_inbox_receive(struct datagram_inbox *inbox, int fd, size_t most,
                                   size_t *count);

/* The nth datagram of the last call, which is valid until the next one. It may have no bytes. */
struct span datagram_inbox_take(const struct datagram_inbox *inbox, size_t nth,
                                struct datagram_route *route);

/* ---- sending ------------------------------------------------------------------------------- */

/* Datagrams that wait to be sent on one socket. All zeros is an empty one. */
struct datagram_outbox {
  struct datagram_waiting *waiting;
  char *bytes;
  size_t first;    /* The first that was not sent. */
  size_t end;      /* How many there are, those that were sent included. */
  size_t capacity; /* Of `waiting`. */
  size_t bytes_end;
  size_t bytes_capacity;
};

/* An outbox has no more datagrams, and no more bytes. */
enum { DATAGRAM_OUTBOX_MAX = 4096, DATAGRAM_OUTBOX_BYTES = 4 * 1024 * 1024 };

/* Copies a datagram. STATUS_FULL: too many wait. STATUS_NO_MEMORY. */
enum status datagram_outbox_add(struct datagram_outbox *outbox, const struct datagram_route *route,
                                struct span datagram);

/* Sends what it can. STATUS_OK: all was sent. STATUS_AGAIN: the rest has to wait until the socket
 * can be written. STATUS_ERROR: the first datagram cannot be sent, and errno tells why (EMSGSIZE:
 * it is too large); *failed is that datagram, valid until the outbox is next changed, and *route
 * its route. It is dropped, and the call can be repeated for the others. */
enum status datagram_outbox_send(struct datagram_outbox *outbox, int fd, struct span *failed,
                                 struct datagram_route *route);

static inline bool datagram_outbox_is_empty(const struct datagram_outbox *outbox) {
  return outbox->first == outbox->end;
}

/* Frees what it holds. */
void datagram_outbox_deinit(struct datagram_outbox *outbox);

#endif
