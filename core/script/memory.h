/* memory.h: the allocator of one Lua state, which keeps count and a limit.
 *
 * Lua collects its garbage and tries again when it is refused, and raises "not enough memory" in
 * the call at hand when that does not help: the limit costs one call, not the server. */
#ifndef SCRIPT_MEMORY_H
#define SCRIPT_MEMORY_H

#include <stddef.h>

struct memory {
  size_t used;  /* bytes that Lua has now */
  size_t limit; /* SIZE_MAX: none */
};

/* A lua_Alloc; `context` is a struct memory. */
void *memory_allocate(void *context, void *block, size_t old_size, size_t new_size);

#endif
