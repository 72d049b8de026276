/* finalizers.h: runs __gc functions under the watchdog, and logs warnings.
 *
 * Lua turns off hooks in the coroutine that runs a finalizer, so that the watchdog could not stop
 * an endless one. setmetatable() and debug.setmetatable() replace the __gc of the metatable by a
 * function of the core, which runs the script's function on a coroutine of its own. A __gc that is
 * set in a metatable later is run by Lua itself.
 *
 * An error in a finalizer, which Lua turns into a warning, and the warnings of warn() are logged.
 */
#ifndef SCRIPT_FINALIZERS_H
#define SCRIPT_FINALIZERS_H

#include <lua.h>
#include <stdbool.h>

/* Replaces the functions and sets the warning function. The state must have a gate. May raise. */
void finalizers_install(lua_State *state);

/* Whether Lua's collector has called the running function. */
bool finalizers_are_running(lua_State *state);

#endif
