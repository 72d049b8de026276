/* coroutines.h: coroutine.resume, wrap and close as the watchdog needs them.
 *
 * Lua does not tell which coroutine is running, and a hook counts for one coroutine only. These
 * stand in for the library's own functions, do the same, and tell the watchdog. */
#ifndef SCRIPT_COROUTINES_H
#define SCRIPT_COROUTINES_H

#include <lua.h>

/* Replaces the three functions in the coroutine table of the standard libraries. May raise. */
void coroutines_install(lua_State *state);

#endif
