#include "server/peer_rates.h"

#include <stdlib.h>
#include <sys/random.h>

/* A peer has its place in one of the sets, chosen by a hash that nobody outside can foresee. */
enum { SETS = 1024, WAYS = 4 };

struct place {
  uint64_t network; /* See address_network(). */
  uint32_t since;   /* When the second of the count began, in ms; it wraps around. */
  uint32_t count;   /* 0: the place is free. */
};

struct peer_rates {
  uint32_t most;
  uint64_t secret;
  struct place sets[SETS][WAYS];
};

struct peer_rates *peer_rates_create(uint32_t most) {
  struct peer_rates *rates = calloc(1, sizeof *rates);
  if (!rates) return NULL;
  rates->most = most;
  if (getrandom(&rates->secret, sizeof rates->secret, GRND_NONBLOCK) < 0)
    rates->secret = (uintptr_t)rates;
  return rates;
}

static struct place *set_of(struct peer_rates *rates, uint64_t network) {
  uint64_t hash = (network ^ rates->secret) * 0x9E3779B97F4A7C15u;
  hash = (hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93u;
  return rates->sets[(hash >> 32) % SETS];
}

bool peer_rates_allow(struct peer_rates *rates, const union peer_address *peer, int64_t now) {
  enum { SECOND = 1000 };
  uint64_t network;
  uint32_t time = (uint32_t)now;
  if (!address_network(peer, &network)) return true;
  struct place *set = set_of(rates, network), *place = NULL, *least = set;
  for (int i = 0; i < WAYS; i++) {
    if (time - set[i].since >= SECOND) set[i].count = 0;
    if (set[i].count > 0 && set[i].network == network) place = &set[i];
    if (set[i].count < least->count) least = &set[i];
  }
  if (!place) {
    place = least;
    *place = (struct place){.network = network, .since = time};
  }
  if (place->count >= rates->most) return false;
  place->count++;
  return true;
}

void peer_rates_destroy(struct peer_rates *rates) { free(rates); }
