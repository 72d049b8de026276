/* arena.h: memory for one Lua state at addresses that are the same in each run.
 *
 * Tables and functions as keys are hashed by their address, so that the order of pairs() depends on
 * addresses. An arena begins at a fixed address that no other arena of the process has, and what it
 * gives depends only on what it was asked for before. Freed blocks are used again for blocks of
 * nearly the same size, and return to the system with the arena.
 *
 * With AddressSanitizer, which finds no errors within an arena, none can be made. */
#ifndef SCRIPT_ARENA_H
#define SCRIPT_ARENA_H

#include <stddef.h>

struct arena;

/* NULL: the addresses are taken, or there is no memory. */
struct arena *arena_create(void);

/* A lua_Alloc. `context` is a struct memory that has an arena: its limit holds. */
void *arena_allocate(void *context, void *block, size_t old_size, size_t new_size);

/* Frees all its blocks. NULL: does nothing. */
void arena_destroy(struct arena *arena);

#endif
