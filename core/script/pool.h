/* pool.h: small blocks for one Lua state, for fewer instructions than malloc() needs.
 *
 * A slab has blocks of one size. Larger blocks come from malloc(). A slab without a used block
 * returns to malloc(), but one of each size may be kept.
 *
 * With AddressSanitizer, which finds no errors within a slab, no pool can be made. */
#ifndef SCRIPT_POOL_H
#define SCRIPT_POOL_H

#include <stddef.h>

struct pool;

/* `limit` is the most bytes that the state may use. Its slabs take a quarter and 2 MB more at most:
 * a slab of which one block is used takes as much as a full one. NULL: there is no memory. */
struct pool *pool_create(size_t limit);

/* A lua_Alloc. `context` is a struct memory that has a pool: its limit holds. */
void *pool_allocate(void *context, void *block, size_t old_size, size_t new_size);

/* Blocks that are not counted. A block is given back with its size. NULL: no memory. */
void *pool_take(struct pool *pool, size_t size);
void pool_give(struct pool *pool, void *block, size_t size);

/* The state has been closed, so that no block is used. NULL: does nothing. */
void pool_destroy(struct pool *pool);

#endif
