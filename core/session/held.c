#include "session/held.h"

#include <stdint.h>
#include <stdlib.h>

/* Blocks of memory begin at multiples of 16. */
static struct held **bucket_of(struct held_strings *strings, const char *data) {
  uintptr_t address = (uintptr_t)data >> 4;
  return &strings->buckets[(address ^ address >> 10 ^ address >> 20) % HELD_BUCKETS];
}

enum status held_add(struct held_strings *strings, const char *data, struct held **added,
                     bool *is_first) {
  struct held **bucket = bucket_of(strings, data), *held = *bucket;
  while (held && held->data != data) held = held->next;
  *is_first = !held;
  if (!held) {
    held = malloc(sizeof *held);
    if (!held) return STATUS_NO_MEMORY;
    *held = (struct held){.next = *bucket, .data = data};
    *bucket = held;
  }
  held->users++;
  *added = held;
  return STATUS_OK;
}

void held_remove(struct held_strings *strings, struct held *held) {
  if (--held->users > 0) return;
  struct held **place = bucket_of(strings, held->data);
  while (*place != held) place = &(*place)->next;
  *place = held->next;
  free(held);
}
