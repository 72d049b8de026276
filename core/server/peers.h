/* peers.h: how many connections each peer has. Private to the server room.
 *
 * An IPv6 address counts as the /64 that it is in, because whoever has one of its addresses has
 * all. Unix peers have no address and are not counted. Only peers that have a connection are
 * remembered. So the memory is limited by the most connections that there were at a time: at most
 * 64 bytes for each. */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/address.h"

struct peer_count;

/* All zeros at first. */
struct peers {
  struct peer_count *places; /* A hash table. */
  size_t capacity;           /* A power of two, or 0. At most half of the places are used. */
  size_t used;
  uint64_t seed; /* Peers cannot choose addresses that fall on the same place. */
};

/* Counts one more connection of the peer. STATUS_FULL: it has `most` connections already.
 * STATUS_FULL and STATUS_NO_MEMORY change nothing. */
enum status peers_add(struct peers *peers, const union peer_address *peer, size_t most);

/* A connection that was counted has ended. */
void peers_remove(struct peers *peers, const union peer_address *peer);

void peers_deinit(struct peers *peers);

#endif
