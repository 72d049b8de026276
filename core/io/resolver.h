/* resolver.h: looks up names without blocking the loop (c-ares): those of peers, and the addresses
 * that a name has.
 *
 * The resolver registers its own sockets with the poller: their events carry the resolver's own
 * `struct resolver_socket *` as owner, which starts with the same `struct event_handler` as every
 * other owner (see poller.h). resolver_deadline()/resolver_expire() drive its time-outs.
 *
 * A peer controls its own reverse DNS. A name with characters other than [A-Za-z0-9._-], of more
 * than 253 characters, or that looks like a numeric address ("10.0.0.1") counts as no name.
 *
 * No forward look-up confirms a name: names are for logs and greetings, never for permissions. */
#ifndef IO_RESOLVER_H
#define IO_RESOLVER_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/network.h"
#include "base/status.h"
#include "io/poller.h"

struct resolver;
struct resolver_lookup;

/* The most look-ups in progress. The identifier of a DNS query has 16 bits. */
enum { RESOLVER_PENDING_MAX = 4096 };

/* `name` is the peer's name, valid during the call; NULL: the peer has none, or the look-up has
 * failed or timed out. Called from resolver_lookup_start() itself if the answer is known at once
 * (/etc/hosts), else from an event, from resolver_expire() or, if sending fails, from the start of
 * another look-up. The callback may start and cancel look-ups, but not destroy the resolver. */
typedef void resolver_callback(void *context, const char *name);

/* name_server is "address:port" or "[ipv6]:port" in numbers; NULL: the name servers of the system.
 * STATUS_ERROR with EINVAL: it is no such address, or the system's configuration is unusable. */
enum status resolver_create(struct poller *poller, const char *name_server,
                            struct resolver **resolver);

/* Starts to look up the name of an address, which takes 5 s at most, however many servers are
 * silent. *lookup is NULL if the callback was called already, else valid until the callback. A Unix
 * address has no name. STATUS_FULL (RESOLVER_PENDING_MAX), STATUS_NO_MEMORY: the callback is not
 * called. If the poller has no room for the socket, the look-up times out. */
enum status resolver_lookup_start(struct resolver *resolver, const struct sockaddr *address,
                                  resolver_callback *callback, void *context,
                                  struct resolver_lookup **lookup);

/* addresses[0..count) are valid during the call, in the order in which they are to be tried (RFC
 * 6724, the families in turn as in RFC 8305), with port 0. None: `why` is the reason, a static
 * text. Called as a resolver_callback is. */
typedef void resolver_found(void *context, const struct sockaddr_storage *addresses, size_t count,
                            const char *why);

/* Starts to look up the addresses of a name, of which NETWORK_ADDRESSES_MAX count. "localhost" and
 * what ends in ".localhost" is the loopback (RFC 6761), and a numeric address is its own. Otherwise
 * as resolver_lookup_start(). */
enum status resolver_find_start(struct resolver *resolver, const char *name, resolver_found *found,
                                void *context, struct resolver_lookup **lookup);

/* Cancels a look-up: its callback is not called, and `lookup` is not valid any more. */
void resolver_lookup_cancel(struct resolver_lookup *lookup);

/* Returns when resolver_expire() must be called next (base/clock.h time); CLOCK_NEVER: not needed.
 * Calling resolver_expire() more often is harmless. Call resolver_deadline() once in each turn,
 * between handling the events of one wait and the next wait: it frees closed sockets that those
 * events could refer to. */
int64_t resolver_deadline(struct resolver *resolver, int64_t now);
void resolver_expire(struct resolver *resolver);

/* Cancels every look-up and frees. NULL is ignored. The poller must still exist, and all events
 * that it has returned must have been handled. */
void resolver_destroy(struct resolver *resolver);

#endif
