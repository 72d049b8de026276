#include "spec_fence.h"

#include <lauxlib.h>
#include <sys/mman.h>
#include <unistd.h>

void spec_fence_build(lua_State *L, struct fence *fence, size_t length) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t readable = (length + page - 1) / page * page;
  fence->size = readable + page;
  fence->pages = mmap(NULL, fence->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fence->pages == MAP_FAILED) luaL_error(L, "no pages for %I bytes", (LUAI_UACINT)length);
  fence->end = fence->pages + readable;
  if (readable == 0 || mprotect(fence->pages, readable, PROT_READ | PROT_WRITE) == 0) return;
  munmap(fence->pages, fence->size);
  luaL_error(L, "cannot write to %I bytes", (LUAI_UACINT)length);
}

void spec_fence_free(const struct fence *fence) { munmap(fence->pages, fence->size); }
