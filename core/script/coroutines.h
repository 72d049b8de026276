/* coroutines.h: replaces the functions of coroutines, pcall and xpcall by functions that tell the
 * watchdog which coroutine runs, pass waits up to the task, and do not catch a cancel.
 *
 * Lua does not tell which coroutine is running, and a hook is set for one coroutine only. The
 * functions here do the same as those of the library, but raise an error instead of running code in
 * a coroutine that the watchdog has stopped or that the server has made, or closing too many
 * coroutines within each other. */
#ifndef SCRIPT_COROUTINES_H
#define SCRIPT_COROUTINES_H

#include <lua.h>

/* Replaces the functions in the standard libraries. May raise. */
void coroutines_install(lua_State *state);

#endif
