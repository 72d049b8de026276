/* spec_fence.h: memory whose last page is unreadable, so that an over-read of bytes that end there
 * ends the run even without a sanitizer. */
#ifndef SPEC_FENCE_H
#define SPEC_FENCE_H

#include <lua.h>
#include <stddef.h>

struct fence {
  char *pages;
  size_t size;
  char *end; /* The unreadable page. */
};

/* Makes room for `length` bytes before the page, or raises a Lua error. */
void spec_fence_build(lua_State *L, struct fence *fence, size_t length);

void spec_fence_free(const struct fence *fence);

#endif
