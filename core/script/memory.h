/* memory.h: the allocator of one Lua state, which counts its memory and limits it.
 *
 * If an allocation is refused, Lua collects its garbage and tries again, and then raises "not
 * enough memory" in the running call: the limit costs one call, not the server.
 *
 * There are two reserves beyond the limit: one for calls that should come to their end, and one for
 * the objects that the server itself makes. */
#ifndef SCRIPT_MEMORY_H
#define SCRIPT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct pool;

struct memory {
  size_t used;         /* Bytes that Lua has allocated. */
  size_t limit;        /* Bytes that may be allocated now; SIZE_MAX: no limit. */
  size_t nominal;      /* The limit without any reserve; SIZE_MAX: no limit. */
  size_t reserve;      /* Bytes of each of the two reserves. */
  unsigned opened;     /* How often memory_open_reserve() is in effect. */
  size_t overdrawn;    /* Bytes in use at the last close, if over the limit; 0: they are not. */
  struct arena *arena; /* Where blocks come from (arena.h, pool.h); both NULL: malloc(). */
  struct pool *pool;
  bool uses_server_reserve; /* The server's own reserve may be used. */
  size_t kept_back;         /* Bytes by which the limit is lower while the collector rests. */
  void (*wake)(struct memory *memory); /* The collector rests: called at that lower limit. */
};

/* `limit` in bytes; 0: none. A reserve is an eighth of the limit, but from 256 KiB to 64 MiB. */
void memory_init(struct memory *memory, size_t limit);

/* Frees where blocks come from. The state has been closed. */
void memory_deinit(struct memory *memory);

/* Between open and close the first reserve may be used. May be nested. If more than the limit is
 * in use at the close, the calls that follow may use a quarter of the reserve, so that the script
 * can be asked to free memory. */
void memory_open_reserve(struct memory *memory);
void memory_close_reserve(struct memory *memory);

/* Allows or forbids to use the server's own reserve, which is for a `self`, a request or the call
 * of handle_error. The caller restores the value from before; after an error gate_run() does. Each
 * request calls this. */
static inline void memory_use_server_reserve(struct memory *memory, bool uses_server_reserve) {
  memory->uses_server_reserve = uses_server_reserve;
}

/* The collector rests: `wake` is called, from within an allocation, when more than `most` bytes are
 * allocated, and ends the rest. False: so many are allocated now. */
bool memory_begin_rest(struct memory *memory, size_t most, void (*wake)(struct memory *memory));

/* Returns whether the rest has not ended yet, and ends it. */
bool memory_end_rest(struct memory *memory);

/* Whether `size` more bytes stay within the limit. */
bool memory_has_room(struct memory *memory, size_t size);

/* A lua_Alloc; `context` is a struct memory. */
void *memory_allocate(void *context, void *block, size_t old_size, size_t new_size);

/* A block for C code, which is not counted. It is given back with its size. NULL: no memory. */
void *memory_take(struct memory *memory, size_t size);
void memory_give(struct memory *memory, void *block, size_t size);

/* Returns freed memory to the system, as far as the C library can: about 1 ms for each MB. */
void memory_return_to_system(void);

#endif
