#include "script/memory.h"

#include <stdint.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "script/arena.h"
#include "script/pool.h"

static const size_t reserve_min = 256 * 1024, reserve_max = 64 * 1024 * 1024;

void memory_init(struct memory *memory, size_t limit) {
  size_t reserve = limit / 8;
  if (reserve < reserve_min) reserve = reserve_min;
  if (reserve > reserve_max) reserve = reserve_max;
  *memory = (struct memory){.limit = limit, .nominal = limit, .reserve = reserve};
  if (limit == 0 || limit > SIZE_MAX / 2)
    *memory = (struct memory){.limit = SIZE_MAX, .nominal = SIZE_MAX};
}

void memory_deinit(struct memory *memory) {
  arena_destroy(memory->arena);
  pool_destroy(memory->pool);
}

/* Adds to the limit, which other code may have changed, instead of setting it. */
void memory_open_reserve(struct memory *memory) {
  if (memory->opened++ == 0) memory->limit += memory->reserve;
}

void memory_close_reserve(struct memory *memory) {
  if (--memory->opened > 0) return;
  memory->limit -= memory->reserve;
  if (memory->used > memory->nominal && memory->overdrawn == 0) memory->overdrawn = memory->used;
}

bool memory_begin_rest(struct memory *memory, size_t most, void (*wake)(struct memory *memory)) {
  if (memory->used >= most) return false;
  memory->wake = wake;
  memory->kept_back = memory->limit > most ? memory->limit - most : 0;
  memory->limit -= memory->kept_back;
  return true;
}

bool memory_end_rest(struct memory *memory) {
  bool rests = memory->wake != NULL;
  memory->limit += memory->kept_back;
  memory->kept_back = 0;
  memory->wake = NULL;
  return rests;
}

/* Whether `size` more bytes stay within the limit. `used` may be more than the limit. */
static bool is_below(size_t limit, size_t used, size_t size) {
  return used <= limit && size <= limit - used;
}

/* Rarely called, and not inlined, so that has_room() stays a few instructions. */
__attribute__((noinline)) static bool has_more_room(struct memory *memory, size_t size) {
  if (memory->wake) {
    memory->wake(memory);
    if (is_below(memory->limit, memory->used, size)) return true;
  }
  size_t most = memory->limit, overdraft = memory->overdrawn + memory->reserve / 4;
  if (memory->used <= memory->nominal) memory->overdrawn = 0;
  if (memory->overdrawn > 0 && most < overdraft) most = overdraft;
  if (memory->uses_server_reserve) most += memory->reserve;
  return is_below(most, memory->used, size);
}

static bool has_room(struct memory *memory, size_t size) {
  return is_below(memory->limit, memory->used, size) || has_more_room(memory, size);
}

bool memory_has_room(struct memory *memory, size_t size) { return has_room(memory, size); }

static void *allocate(struct memory *memory, size_t size) {
  if (size == 0 || !has_room(memory, size)) return NULL;
  void *block = malloc(size);
  if (block) memory->used += size;
  return block;
}

static void *resize(struct memory *memory, void *block, size_t old_size, size_t new_size) {
  if (new_size > old_size && !has_room(memory, new_size - old_size)) return NULL;
  void *moved = realloc(block, new_size);
  if (!moved) {
    if (new_size > old_size) return NULL;
    moved = block; /* Lua relies on it that a block can always shrink. */
  }
  memory->used += new_size;
  memory->used -= old_size;
  return moved;
}

void *memory_allocate(void *context, void *block, size_t old_size, size_t new_size) {
  struct memory *memory = context;
  if (!block) return allocate(memory, new_size); /* Here old_size is the type of the object. */
  if (new_size > 0) return resize(memory, block, old_size, new_size);
  memory->used -= old_size;
  free(block);
  return NULL;
}

void *memory_take(struct memory *memory, size_t size) {
  return memory->pool ? pool_take(memory->pool, size) : malloc(size);
}

void memory_give(struct memory *memory, void *block, size_t size) {
  if (memory->pool)
    pool_give(memory->pool, block, size);
  else
    free(block);
}

void memory_return_to_system(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
