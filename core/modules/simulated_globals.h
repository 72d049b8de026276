/* simulated_globals.h: the standard functions that differ in the simulator. os.time(), os.date()
 * and os.clock() return the simulated time, math.random() returns the same numbers in each play,
 * and printing is logged with its place in the script, because standard output belongs to the tool.
 */
#ifndef MODULES_SIMULATED_GLOBALS_H
#define MODULES_SIMULATED_GLOBALS_H

#include <lua.h>

#include "script/script.h"

/* Replaces the functions, before any script runs, and seeds math.random(). `clock` must outlive the
 * state. May raise. */
void simulated_globals_install(lua_State *state, const struct script_clock *clock, uint32_t seed);

/* Seeds math.random(). May raise. */
void simulated_globals_seed(lua_State *state, uint32_t seed);

#endif
