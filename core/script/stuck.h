/* stuck.h: tells why a function that waits cannot do so where it is called.
 *
 * A coroutine cannot be suspended while a C function that was not made for it is in the middle of
 * a call, such as table.sort(). */
#ifndef SCRIPT_STUCK_H
#define SCRIPT_STUCK_H

#include <lua.h>
#include <stdbool.h>

/* Returns the coroutine that cannot be suspended. NULL: all of them can, from the running one up to
 * that of the task. */
lua_State *stuck_find(lua_State *state);

/* Whether a message handler of the script runs in the coroutine, at most 1,000 levels up. */
bool stuck_is_handling(lua_State *state);

/* Raises that the running function, which has this name, cannot wait within the innermost C
 * function of `stuck` in which waiting does not work. If none is among the innermost 1,000 levels,
 * the error names no function. */
int stuck_complain(lua_State *state, lua_State *stuck, const char *name);

#endif
