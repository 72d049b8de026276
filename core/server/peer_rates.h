/* peer_rates.h: how many datagrams came from each peer in this second, in bounded memory.
 *
 * A peer is its IPv4 address, or the first 64 bits of its IPv6 address, whatever its port. The
 * memory of the peers that sent least is used again: with more peers than there is room for, some
 * may send more than the limit, and none is refused that is under it. */
#ifndef SERVER_PEER_RATES_H
#define SERVER_PEER_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "io/address.h"

struct peer_rates;

/* `most`: the datagrams of one peer in a second. NULL: there is no memory. */
struct peer_rates *peer_rates_create(uint32_t most);

/* Counts a datagram. False: it is one too many. `now` is in ms. */
bool peer_rates_allow(struct peer_rates *rates, const union peer_address *peer, int64_t now);

/* NULL is ignored. */
void peer_rates_destroy(struct peer_rates *rates);

#endif
