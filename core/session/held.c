#include "session/held.h"

#include <stdint.h>
#include <stdlib.h>

/* Blocks of memory begin at multiples of 16. */
static struct held **bucket_of(struct held_strings *strings, const char *data) {
  uintptr_t address = (uintptr_t)data >> 4;
  return &strings->buckets[(address ^ address >> 10 ^ address >> 20) % HELD_BUCKETS];
}

static void set_unpaid(struct held_strings *strings, struct held *held, size_t length) {
  strings->unpaid += length - held->unpaid;
  if (strings->sum) *strings->sum += length - held->unpaid;
  held->unpaid = length;
}

enum status held_add(struct held_strings *strings, struct span string, struct held **added,
                     size_t *charge) {
  struct held **bucket = bucket_of(strings, string.data), *held = *bucket;
  while (held && held->data != string.data) held = held->next;
  *charge = held ? held_claim(strings, held) : string.length;
  if (!held) {
    held = malloc(sizeof *held);
    if (!held) return STATUS_NO_MEMORY;
    *held = (struct held){.next = *bucket, .data = string.data};
    *bucket = held;
  }
  held->users++;
  *added = held;
  return STATUS_OK;
}

size_t held_claim(struct held_strings *strings, struct held *held) {
  size_t unpaid = held->unpaid;
  set_unpaid(strings, held, 0);
  return unpaid;
}

void held_remove(struct held_strings *strings, struct held *held, size_t charge) {
  if (--held->users > 0) {
    if (charge > 0) set_unpaid(strings, held, charge);
    return;
  }
  set_unpaid(strings, held, 0);
  struct held **place = bucket_of(strings, held->data);
  while (*place != held) place = &(*place)->next;
  *place = held->next;
  free(held);
}
