/* ban.h: where a script must not do what others see: send, close, publish, subscribe and the like.
 *
 * Waiting is banned there, too: these texts are values of gate->no_wait. */
#ifndef SCRIPT_BAN_H
#define SCRIPT_BAN_H

#include <lua.h>

extern const char ban_in_request_complete[], ban_in_save[], ban_in_restore[], ban_while_loading[];

/* Raises if a function with this name is called at such a place. The error says what to do instead.
 * A finalizer may call everything, wherever it happens to run. Allocates nothing in Lua if it does
 * not raise. */
void ban_check(lua_State *state, const char *name);

#endif
