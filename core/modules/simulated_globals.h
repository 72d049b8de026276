/* simulated_globals.h: what is otherwise for a script that is played without sockets: its
 * os.time(), os.date() and os.clock() tell the time of the play, math.random() gives the same in
 * each play, os.exit() is an error, and that it prints is logged with the place, since standard
 * output is not its own there. */
#ifndef MODULES_SIMULATED_GLOBALS_H
#define MODULES_SIMULATED_GLOBALS_H

#include <lua.h>

#include "script/script.h"

/* Changes the globals, before any script runs; `clock` must outlive the state. May raise. */
void simulated_globals_install(lua_State *state, const struct script_clock *clock);

/* Makes math.random() begin anew, as it began when the script was loaded. To be run in the gate. */
int simulated_globals_seed(lua_State *state);

#endif
