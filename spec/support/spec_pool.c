#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#include "script/memory.h"
#include "script/pool.h"
#include "spec_memory.h"
#include "spec_module.h"

enum { BLOCKS = 3000, SIZE_MAX_USED = 1500 };

struct block {
  unsigned char *bytes;
  size_t size;
  unsigned char filling;
};

static struct block blocks[BLOCKS];
static struct memory memory;
static uint32_t chance;

static uint32_t next_number(void) {
  chance = chance * 1664525 + 1013904223;
  return chance >> 8;
}

static void check(lua_State *L, const struct block *block) {
  if ((uintptr_t)block->bytes % 16 != 0) luaL_error(L, "a block is not aligned");
  for (size_t i = 0; i < block->size; i++)
    if (block->bytes[i] != block->filling) luaL_error(L, "a block was overwritten");
}

/* To no bytes it is freed. */
static void resize(lua_State *L, struct block *block, size_t size) {
  unsigned char *bytes = pool_allocate(&memory, block->bytes, block->size, size);
  if (!bytes && size > 0) luaL_error(L, "there is no memory");
  *block = (struct block){bytes, size < block->size ? size : block->size, block->filling};
  check(L, block);
  *block = (struct block){bytes, size, (unsigned char)next_number()};
  if (bytes) memset(bytes, block->filling, size);
}

static void resize_all(lua_State *L, size_t size) {
  for (size_t i = 0; i < BLOCKS; i++) resize(L, &blocks[i], size);
}

/* pool_churn(seed, steps): allocates, resizes and frees blocks of many sizes, in turns more and
 * fewer of them. Raises if a block loses a byte. Returns how many blocks of malloc() a pool has
 * when all was freed, and has had at most; nil: there is no pool in this build. */
int spec_pool_churn(lua_State *L) {
  chance = (uint32_t)luaL_checkinteger(L, 1);
  lua_Integer steps = luaL_checkinteger(L, 2);
  memory_init(&memory, 0);
  memset(blocks, 0, sizeof blocks);
  int64_t before = memory_blocks();
  if (!(memory.pool = pool_create(SIZE_MAX))) return 0;
  for (lua_Integer step = 0; step < steps; step++) {
    struct block *block = &blocks[next_number() % BLOCKS];
    size_t most = next_number() % 4 == 0 ? SIZE_MAX_USED : 100;
    bool grows = step / (3 * BLOCKS) % 2 == 0;
    check(L, block);
    resize(L, block, next_number() % 8 == 0 || !grows ? 0 : 1 + next_number() % most);
  }
  resize_all(L, 50);
  int64_t most = memory_blocks() - before;
  resize_all(L, 0);
  if (memory.used != 0) luaL_error(L, "%d bytes are used", (int)memory.used);
  lua_pushinteger(L, memory_blocks() - before);
  lua_pushinteger(L, most);
  memory_deinit(&memory);
  if (memory_blocks() != before) luaL_error(L, "the pool has left blocks behind");
  return 2;
}

/* pool_scatter(limit): of blocks of all sizes, as many as there can be, leaves one in a slab.
 * Returns how many blocks of malloc() the pool has then. */
int spec_pool_scatter(lua_State *L) {
  enum { SLAB = 16384 };
  static void *kept[1 << 16];
  size_t limit = (size_t)luaL_checkinteger(L, 1), count = 0, sizes[1 << 16];
  memory_init(&memory, limit);
  int64_t before = memory_blocks();
  if (!(memory.pool = pool_create(limit))) return 0;
  for (size_t size = 16; size <= 1024; size += 16) {
    void *first = NULL, *block;
    while ((block = pool_allocate(&memory, NULL, 0, size))) {
      *(void **)block = first;
      first = block;
    }
    uintptr_t last_slab = 0;
    while ((block = first)) {
      first = *(void **)block;
      uintptr_t slab = (uintptr_t)block / SLAB;
      if (slab != last_slab && count < sizeof kept / sizeof *kept) {
        sizes[count] = size;
        kept[count++] = block;
      } else
        pool_allocate(&memory, block, size, 0);
      last_slab = slab;
    }
  }
  lua_pushinteger(L, memory_blocks() - before);
  while (count-- > 0) pool_allocate(&memory, kept[count], sizes[count], 0);
  memory_deinit(&memory);
  if (memory_blocks() != before) luaL_error(L, "the pool has left blocks behind");
  return 1;
}
