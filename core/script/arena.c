#include "script/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "script/memory.h"
#include "script/sanitizer.h"

/* Blocks of up to SMALL_MAX bytes have sizes that are multiples of UNIT; larger ones have STEPS
 * sizes between a power of two and the next. */
enum { UNIT = 16, SMALL_MAX = 1024, SMALL = SMALL_MAX / UNIT + 1, STEPS = 4, LARGE = 22 * STEPS };

struct free_block {
  struct free_block *next;
};

/* The head of its own memory. */
struct arena {
  size_t used;
  struct free_block *free[SMALL + LARGE];
};

/* Addresses in the middle of what a process can have, where nothing else is put. */
static const uintptr_t lowest = 0x200000000000;
static const size_t size_of_arena = (size_t)4 << 30;
enum { ARENAS = 64 };

static uint64_t taken; /* A bit for each arena of the process. */

static char *address_of(int nth) { return (char *)(lowest + (size_t)nth * size_of_arena); }

struct arena *arena_create(void) {
  int nth = 0;
  while (nth < ARENAS && (taken >> nth & 1)) nth++;
  if (HAS_ADDRESS_SANITIZER || nth == ARENAS) return NULL;
  struct arena *arena =
      mmap(address_of(nth), size_of_arena, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (arena == MAP_FAILED) return NULL;
  taken |= (uint64_t)1 << nth;
  arena->used = (sizeof *arena + UNIT - 1) / UNIT * UNIT;
  return arena;
}

void arena_destroy(struct arena *arena) {
  if (!arena) return;
  taken &= ~((uint64_t)1 << ((uintptr_t)arena - lowest) / size_of_arena);
  munmap(arena, size_of_arena);
}

/* Rounds the size up to that of a block, and returns the index of its list. */
static size_t class_of(size_t *size) {
  if (*size <= SMALL_MAX) {
    size_t units = (*size + UNIT - 1) / UNIT;
    *size = units * UNIT;
    return units;
  }
  size_t power = SMALL_MAX, list = SMALL;
  for (; 2 * power < *size; power *= 2) list += STEPS;
  size_t step = power / STEPS, steps = (*size - power + step - 1) / step;
  *size = power + steps * step;
  return list + steps - 1;
}

static void *take(struct arena *arena, size_t size) {
  if (size > size_of_arena / 2) return NULL;
  size_t list = class_of(&size);
  struct free_block *block = arena->free[list];
  if (block)
    arena->free[list] = block->next;
  else if (size <= size_of_arena - arena->used) {
    block = (void *)((char *)arena + arena->used);
    arena->used += size;
  }
  return block;
}

static void give(struct arena *arena, void *block, size_t size) {
  size_t list = class_of(&size);
  struct free_block *freed = block;
  freed->next = arena->free[list];
  arena->free[list] = freed;
}

static bool is_same_size(size_t one, size_t other) {
  class_of(&one);
  class_of(&other);
  return one == other;
}

static void *resize(struct arena *arena, void *block, size_t old_size, size_t new_size) {
  if (is_same_size(old_size, new_size)) return block;
  void *moved = take(arena, new_size);
  if (!moved) return new_size < old_size ? block : NULL;
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  give(arena, block, old_size);
  return moved;
}

void *arena_allocate(void *context, void *block, size_t old_size, size_t new_size) {
  struct memory *memory = context;
  if (!block) old_size = 0; /* It was the type of the object. */
  if (new_size > old_size && !memory_has_room(memory, new_size - old_size)) return NULL;
  if (new_size == 0) {
    if (block) give(memory->arena, block, old_size);
  } else {
    block =
        block ? resize(memory->arena, block, old_size, new_size) : take(memory->arena, new_size);
    if (!block) return NULL;
  }
  memory->used += new_size;
  memory->used -= old_size;
  return new_size == 0 ? NULL : block;
}
