/* spec_memory.h: makes allocations of the rooms fail, the N-th and those after it.
 *
 * The module is linked so that every malloc(), calloc(), realloc(), strdup() and free() in it comes
 * here first (--wrap); the host's own Lua, busted and libc are not touched by it. */
#ifndef SPEC_MEMORY_H
#define SPEC_MEMORY_H

#include <lua.h>
#include <stddef.h>

/* For what a spec's own C needs: never fails on purpose and is not counted. */
void *memory_real_malloc(size_t size);
void memory_real_free(void *block);

/* Adds fail_allocations(), allocations() and blocks() to the table on top of the stack. */
void spec_add_memory(lua_State *L);

#endif
