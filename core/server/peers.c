#include "server/peers.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

enum { FIRST_CAPACITY = 64 };

struct peer_count {
  uint64_t network; /* See address_network(). */
  uint32_t count;   /* 0: the place is free. */
};

/* The place where the search for a peer begins. The mixing is that of splitmix64. */
static size_t home_of(const struct peers *peers, uint64_t network) {
  uint64_t bits = network ^ peers->seed;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  return (size_t)(bits ^ bits >> 31) & (peers->capacity - 1);
}

/* The place of the peer, or the free one where it belongs. */
static struct peer_count *find(const struct peers *peers, uint64_t network) {
  size_t at = home_of(peers, network);
  while (peers->places[at].count > 0 && peers->places[at].network != network)
    at = (at + 1) & (peers->capacity - 1);
  return &peers->places[at];
}

/* Makes sure that half of the places are free behind one more. */
static enum status reserve(struct peers *peers) {
  if (peers->used < peers->capacity / 2) return STATUS_OK;
  struct peers grown = *peers;
  grown.capacity = peers->capacity > 0 ? peers->capacity * 2 : FIRST_CAPACITY;
  grown.places = calloc(grown.capacity, sizeof *grown.places);
  if (!grown.places) return STATUS_NO_MEMORY;
  if (peers->capacity == 0 && getrandom(&grown.seed, sizeof grown.seed, GRND_NONBLOCK) < 0)
    grown.seed = (uint64_t)(uintptr_t)grown.places;
  for (size_t i = 0; i < peers->capacity; i++)
    if (peers->places[i].count > 0) *find(&grown, peers->places[i].network) = peers->places[i];
  free(peers->places);
  *peers = grown;
  return STATUS_OK;
}

enum status peers_add(struct peers *peers, const union peer_address *peer, size_t most) {
  uint64_t network;
  if (!address_network(peer, &network)) return STATUS_OK;
  if (reserve(peers) != STATUS_OK) return STATUS_NO_MEMORY;
  struct peer_count *place = find(peers, network);
  if (place->count >= most) return STATUS_FULL;
  if (place->count == 0) {
    place->network = network;
    peers->used++;
  }
  place->count++;
  return STATUS_OK;
}

/* Empties a place, and moves those behind it that a search would not find any more. */
static void empty_place(struct peers *peers, size_t hole) {
  size_t mask = peers->capacity - 1;
  for (size_t at = (hole + 1) & mask; peers->places[at].count > 0; at = (at + 1) & mask) {
    size_t home = home_of(peers, peers->places[at].network);
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    peers->places[hole] = peers->places[at];
    hole = at;
  }
  peers->places[hole] = (struct peer_count){0};
  peers->used--;
}

void peers_remove(struct peers *peers, const union peer_address *peer) {
  uint64_t network;
  if (!address_network(peer, &network)) return;
  struct peer_count *place = find(peers, network);
  assert(place->count > 0);
  if (--place->count == 0) empty_place(peers, (size_t)(place - peers->places));
}

void peers_deinit(struct peers *peers) {
  free(peers->places);
  *peers = (struct peers){0};
}
