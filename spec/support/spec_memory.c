#include "spec_memory.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* With the linker's option --wrap, callers reach __wrap_X(), and __real_X() is the function of the
 * C library. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);

static struct {
  uint64_t seen; /* Allocations since the last fail_allocations(). */
  uint64_t first;
  uint64_t last;
  int64_t blocks; /* Blocks that are not freed. */
} plan;

static bool is_to_fail(void) {
  plan.seen++;
  return plan.seen >= plan.first && plan.seen <= plan.last;
}

void *memory_real_malloc(size_t size) { return __real_malloc(size); }

void memory_real_free(void *block) { __real_free(block); }

static void *count(void *block) {
  if (block) plan.blocks++;
  return block;
}

void *__wrap_malloc(size_t size) { return is_to_fail() ? NULL : count(__real_malloc(size)); }

void *__wrap_calloc(size_t number, size_t size) {
  return is_to_fail() ? NULL : count(__real_calloc(number, size));
}

void *__wrap_realloc(void *block, size_t size) {
  if (is_to_fail()) return NULL;
  return block ? __real_realloc(block, size) : count(__real_realloc(NULL, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return is_to_fail() ? NULL : count(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block) {
  if (block) plan.blocks--;
  __real_free(block);
}

char *__wrap_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = __wrap_malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

int64_t memory_blocks(void) { return plan.blocks; }

/* fail_allocations(n, count): the n-th allocation from now on fails, and so do the next ones until
 * `count` have failed. Without arguments, none fails. */
static int fail_allocations(lua_State *L) {
  lua_Integer first = luaL_optinteger(L, 1, 0);
  lua_Integer count = luaL_optinteger(L, 2, 1);
  plan.seen = 0;
  plan.first = first > 0 ? (uint64_t)first : 1;
  plan.last = first > 0 ? (uint64_t)first + (uint64_t)count - 1 : 0;
  return 0;
}

/* allocations(): the number of allocations since the last fail_allocations(). */
static int allocations(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)plan.seen);
  return 1;
}

/* blocks(): the number of blocks that the rooms have allocated and not freed. */
static int blocks(lua_State *L) {
  lua_pushinteger(L, memory_blocks());
  return 1;
}

void spec_add_memory(lua_State *L) {
  static const luaL_Reg functions[] = {{"fail_allocations", fail_allocations},
                                       {"allocations", allocations},
                                       {"blocks", blocks},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
