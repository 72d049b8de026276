#include "script/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "script/memory.h"
#include "script/sanitizer.h"

/* The sizes of small blocks are multiples of UNIT. */
enum { UNIT = 16, SMALL_MAX = 1024, SIZES = SMALL_MAX / UNIT + 1 };

/* malloc() puts 16 bytes before each of its blocks. With these a slab takes SLAB bytes, so that the
 * next one fits behind it. */
enum { SLAB = 16384, SLAB_END = SLAB - 16 };

struct free_block {
  struct free_block *next;
};

/* The head of its own memory, which begins at a multiple of SLAB: so a block leads to its slab. */
struct slab {
  struct free_block *freed;
  unsigned used;  /* How many blocks are used. */
  bool is_listed; /* It is in the list of its size. */
  size_t units;   /* The size of a block. */
  size_t fresh;   /* From this byte on no block has been made yet. */
  struct slab *next, *previous;
};

struct pool {
  size_t slabs_left;         /* How many more there may be. */
  struct slab *slabs[SIZES]; /* All that have room; one that became full stays until it is first. */
};

static size_t most_slabs(size_t limit) {
  enum { MORE = 2 * 1024 * 1024 };
  return limit > SIZE_MAX / 2 ? SIZE_MAX : (limit + limit / 4 + MORE) / SLAB;
}

struct pool *pool_create(size_t limit) {
  struct pool *pool = HAS_ADDRESS_SANITIZER ? NULL : calloc(1, sizeof *pool);
  if (pool) pool->slabs_left = most_slabs(limit);
  return pool;
}

void pool_destroy(struct pool *pool) {
  for (size_t units = 0; pool && units < SIZES; units++)
    for (struct slab *slab = pool->slabs[units], *next; slab; slab = next) {
      next = slab->next;
      free(slab);
    }
  free(pool);
}

static void list(struct pool *pool, struct slab *slab) {
  struct slab **first = &pool->slabs[slab->units];
  slab->previous = NULL;
  slab->next = *first;
  if (*first) (*first)->previous = slab;
  *first = slab;
  slab->is_listed = true;
}

static void unlist(struct pool *pool, struct slab *slab) {
  if (slab->next) slab->next->previous = slab->previous;
  if (slab->previous)
    slab->previous->next = slab->next;
  else
    pool->slabs[slab->units] = slab->next;
  slab->is_listed = false;
}

static bool is_full(const struct slab *slab) {
  return !slab->freed && slab->fresh + slab->units * UNIT > SLAB_END;
}

/* Where a slab was, glibc 2.36 finds room for the next one with malloc() alone: aligned_alloc()
 * first looks for twice the room. */
static void *find_room(void) {
  void *room = malloc(SLAB_END);
  if ((uintptr_t)room % SLAB == 0) return room;
  free(room);
  return aligned_alloc(SLAB, SLAB_END);
}

static struct slab *add_slab(struct pool *pool, size_t units) {
  struct slab *slab = pool->slabs_left > 0 ? find_room() : NULL;
  if (!slab) return NULL;
  pool->slabs_left--;
  *slab = (struct slab){.units = units, .fresh = (sizeof *slab + UNIT - 1) / UNIT * UNIT};
  list(pool, slab);
  return slab;
}

/* The first slab has no freed block: it is full, or has bytes that were no block yet. */
__attribute__((noinline)) static void *take_slowly(struct pool *pool, size_t units) {
  struct slab *slab;
  while ((slab = pool->slabs[units]) && is_full(slab)) unlist(pool, slab);
  if (!slab && !(slab = add_slab(pool, units))) return NULL;
  void *block = slab->freed;
  if (block)
    slab->freed = slab->freed->next;
  else {
    block = (char *)slab + slab->fresh;
    slab->fresh += units * UNIT;
  }
  slab->used++;
  return block;
}

static size_t units_of(size_t size) { return (size + UNIT - 1) / UNIT; }

void *pool_take(struct pool *pool, size_t size) {
  if (size > SMALL_MAX) return malloc(size);
  size_t units = units_of(size);
  struct slab *slab = pool->slabs[units];
  if (!slab || !slab->freed) return take_slowly(pool, units);
  struct free_block *block = slab->freed;
  slab->freed = block->next;
  slab->used++;
  return block;
}

/* The slab has got a free block, and was full or has no used one any more. */
__attribute__((noinline)) static void give_slowly(struct pool *pool, struct slab *slab) {
  if (!slab->is_listed) list(pool, slab);
  if (slab->used > 0 || (!slab->next && !slab->previous)) return;
  unlist(pool, slab);
  free(slab);
  pool->slabs_left++;
}

void pool_give(struct pool *pool, void *block, size_t size) {
  if (size > SMALL_MAX) {
    free(block);
    return;
  }
  struct slab *slab = (void *)((uintptr_t)block & ~(uintptr_t)(SLAB - 1));
  struct free_block *freed = block;
  freed->next = slab->freed;
  slab->freed = freed;
  if (--slab->used == 0 || !slab->is_listed) give_slowly(pool, slab);
}

static void *resize(struct pool *pool, void *block, size_t old_size, size_t new_size) {
  if (old_size > SMALL_MAX && new_size > SMALL_MAX) return realloc(block, new_size);
  if (old_size <= SMALL_MAX && units_of(old_size) == units_of(new_size)) return block;
  void *moved = pool_take(pool, new_size);
  if (!moved) return NULL;
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  pool_give(pool, block, old_size);
  return moved;
}

void *pool_allocate(void *context, void *block, size_t old_size, size_t new_size) {
  struct memory *memory = context;
  if (!block) old_size = 0; /* It was the type of the object. */
  if (new_size > old_size && !memory_has_room(memory, new_size - old_size)) return NULL;
  if (new_size == 0) {
    if (block) pool_give(memory->pool, block, old_size);
    block = NULL;
  } else {
    block =
        block ? resize(memory->pool, block, old_size, new_size) : pool_take(memory->pool, new_size);
    if (!block) return NULL;
  }
  memory->used += new_size;
  memory->used -= old_size;
  return block;
}
