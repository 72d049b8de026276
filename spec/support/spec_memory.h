/* spec_memory.h: makes allocations of the rooms fail, from the N-th on.
 *
 * The linker's option --wrap redirects every malloc(), calloc(), realloc(),
 * aligned_alloc(), strdup() and free() of
 * the module to here. The Lua of the spec runner, busted and libc are not redirected. */
#ifndef SPEC_MEMORY_H
#define SPEC_MEMORY_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

/* For the C code of the specs: never made to fail, and not counted. */
void *memory_real_malloc(size_t size);
void memory_real_free(void *block);

/* The number of blocks that the rooms have allocated and not freed. */
int64_t memory_blocks(void);

/* Adds fail_allocations(), allocations() and blocks() to the table on top of the stack. */
void spec_add_memory(lua_State *L);

#endif
