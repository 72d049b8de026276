/* coroutines.h: coroutine.resume, wrap, close and yield as the watchdog needs them.
 *
 * Lua does not tell which coroutine is running, and a hook counts for one coroutine only. These
 * stand in for the library's own functions, do the same, and tell the watchdog. They refuse what
 * Lua would do to its harm: to run something in a coroutine that the watchdog has stopped, in one
 * of the server's own, or in too many that are closed one within the other. */
#ifndef SCRIPT_COROUTINES_H
#define SCRIPT_COROUTINES_H

#include <lua.h>

/* Replaces the functions in the coroutine table of the standard libraries. May raise. */
void coroutines_install(lua_State *state);

#endif
