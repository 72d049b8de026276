/* string_seed.h: makes Lua states whose tables have the same order in each run.
 *
 * Lua hashes strings with a number that it makes from time(NULL) and from addresses: of the state,
 * of a variable on the stack, and of a function. So the order of pairs() differs from run to run.
 * This file defines time() for the whole program: it returns the seed while a state is made, and
 * the time else. The addresses are the same in each run of a program whose addresses are not
 * randomized.
 *
 * In a shared object that another program loads, that program's time() counts, and the order stays
 * random. */
#ifndef SCRIPT_STRING_SEED_H
#define SCRIPT_STRING_SEED_H

#include <lua.h>
#include <stdint.h>

/* Calls lua_newstate(). 0: the order is random, as Lua has it. */
lua_State *string_seed_new_state(lua_Alloc allocate, void *context, uint32_t seed);

#endif
