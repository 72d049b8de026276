/* resolver.h: the names of peers, looked up without ever blocking the loop (c-ares).
 *
 * The resolver registers its own sockets with the poller: their events carry the resolver's own
 * `struct resolver_socket *` as owner, which starts with the same `struct event_handler` as every
 * other owner (see event_handler.h). resolver_deadline()/resolver_expire() drive its time-outs.
 *
 * A peer writes its reverse DNS itself: what is not made of [A-Za-z0-9._-], is longer than 253
 * characters or could pass for a numeric address ("10.0.0.1") counts as no name.
 *
 * The names are not checked forwards: they are for logs and greetings, never for permissions. */
#ifndef IO_RESOLVER_H
#define IO_RESOLVER_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/status.h"
#include "io/poller.h"

struct resolver;
struct resolver_lookup;

/* Look-ups that can be under way at once; a DNS query's number has no more than 16 bits. */
enum { RESOLVER_PENDING_MAX = 4096 };

/* name is the peer's name, or NULL when there is none or the look-up failed or timed out; it lives
 * as long as the call. Called from resolver_lookup_start() itself when the answer is at hand
 * (/etc/hosts), else from an event, from resolver_expire() or, where sending fails, from the start
 * of another look-up. It may start and cancel look-ups, but not destroy the resolver. */
typedef void resolver_callback(void *context, const char *name);

/* name_server: "address:port" or "[ipv6]:port" in numbers, to ask instead of the system's, or NULL.
 * STATUS_ERROR with EINVAL: it is none, or the system's configuration cannot be used. */
enum status resolver_create(struct poller *poller, const char *name_server,
                            struct resolver **resolver);

/* Starts the look-up of an address's name; it takes 5 s at most, however many servers are silent.
 * *lookup is NULL when the callback was already called, else valid until the callback. A Unix
 * address has no name. STATUS_FULL (RESOLVER_PENDING_MAX are under way), STATUS_NO_MEMORY: the
 * callback will not be called. When the poller has no room for the socket, it times out. */
enum status resolver_lookup_start(struct resolver *resolver, const struct sockaddr *address,
                                  resolver_callback *callback, void *context,
                                  struct resolver_lookup **lookup);

/* The one who asked has lost interest: the callback will not be called, and lookup is not valid any
 * more. */
void resolver_lookup_cancel(struct resolver_lookup *lookup);

/* When resolver_expire() wants to be called next (base/clock.h time), CLOCK_NEVER if never; calling
 * it too often is harmless. To be called once a turn, after the events of the last wait are dealt
 * with and before the next: it frees sockets that those events could still have named. */
int64_t resolver_deadline(struct resolver *resolver, int64_t now);
void resolver_expire(struct resolver *resolver);

/* Ends every look-up (no callbacks) and frees, NULL is ignored. The poller must still exist, and no
 * event that it has returned may be waiting to be dealt with. */
void resolver_destroy(struct resolver *resolver);

#endif
