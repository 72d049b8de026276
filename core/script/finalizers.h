/* finalizers.h: __gc as the watchdog needs it, and warnings.
 *
 * Lua runs finalizers with hooks switched off in the coroutine that happens to allocate, so that
 * an endless one could not be stopped. setmetatable() and debug.setmetatable() put a function of
 * the core's in the place of a __gc that is there: it runs the script's on a coroutine of its own.
 * A
 * __gc that a script puts into a metatable later is run by Lua itself.
 *
 * An error in a finalizer, which Lua turns into a warning, and what a script says with warn() go
 * to the log. */
#ifndef SCRIPT_FINALIZERS_H
#define SCRIPT_FINALIZERS_H

#include <lua.h>

/* Replaces the functions, and has the log get the warnings. The state must have a gate. May raise.
 */
void finalizers_install(lua_State *state);

#endif
