/* memory.h: the allocator of one Lua state, which keeps count and a limit.
 *
 * Lua collects its garbage and tries again when it is refused, and raises "not enough memory" in
 * the call at hand when that does not help: the limit costs one call, not the server. */
#ifndef SCRIPT_MEMORY_H
#define SCRIPT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct memory {
  size_t used;      /* bytes that Lua has now */
  size_t limit;     /* what may be used now; SIZE_MAX: no limit */
  size_t nominal;   /* the limit without any reserve; SIZE_MAX: none */
  size_t reserve;   /* what is kept for what must come to its end, */
  unsigned opened;  /* and how many such things are going on */
  size_t overdrawn; /* bytes in use when they were over and had left more than the limit; 0: none */
  bool uses_server_reserve; /* what is going on is the server's own: as much again may be used */
};

/* `limit` in bytes; 0: none. The reserve is an eighth of the limit, but from 256 KiB to 64 MiB. */
void memory_init(struct memory *memory, size_t limit);

/* From one to the other no reserve may be used, for what may as well be left undone. */
struct memory_reserves {
  size_t limit;
  unsigned opened;
  bool uses_server_reserve;
};
struct memory_reserves memory_withhold_reserves(struct memory *memory);
void memory_restore_reserves(struct memory *memory, struct memory_reserves before);

/* From open to close the reserve may be used, too. May be nested. If more than the limit is still
 * in use then, a quarter of the reserve is for the calls that follow, so that the script can be
 * told to let go of it. */
void memory_open_reserve(struct memory *memory);
void memory_close_reserve(struct memory *memory);

/* As much again is for what the server itself makes: a `self`, a request, last words. It may be
 * used while it is lent, and whoever lends it puts back what was before. What raises in between
 * leaves that to gate_run(). On the path of each request. */
static inline void memory_use_server_reserve(struct memory *memory, bool uses_server_reserve) {
  memory->uses_server_reserve = uses_server_reserve;
}

/* A lua_Alloc; `context` is a struct memory. */
void *memory_allocate(void *context, void *block, size_t old_size, size_t new_size);

/* Gives what was freed back to the system, as far as the C library can. It takes about a ms for a
 * MB. */
void memory_give_back(void);

#endif
