/* network.h: connections to other servers over the poller: the network of a server's world.
 *
 * What a script asks for begins in the run queue of the world, so that no socket is touched within
 * Lua. Names are looked up with a resolver of its own, which is made when it is first needed. A
 * name's addresses are tried one after the other, the next one when one has failed or 250 ms have
 * passed, and the first connection counts (RFC 8305).
 *
 * Sockets for datagrams are used at once, also within Lua: their functions call nobody back. */
#ifndef IO_NETWORK_H
#define IO_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/world.h"
#include "io/poller.h"

struct io_network;

/* Sets world->network. The poller and the world must outlive it. name_server as for
 * resolver_create(), whose text must outlive it as well. */
enum status io_network_create(struct poller *poller, struct world *world, const char *name_server,
                              struct io_network **created);

/* As resolver_deadline() and resolver_expire(). */
int64_t io_network_deadline(struct io_network *network, int64_t now);
void io_network_expire(struct io_network *network);

/* To be called once in each turn, when all events of the turn have been handled: frees closed
 * channels. True: there were some. */
bool io_network_free_closed(struct io_network *network);

/* How many descriptors its channels have. */
size_t io_network_descriptors(const struct io_network *network);

/* Breaks all channels, which their users still have to close, ends what is under way, and frees.
 * NULL is ignored. */
void io_network_destroy(struct io_network *network);

#endif
