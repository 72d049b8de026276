/* push.h: self:send() and self:close(), and the bytes that are sent so. */
#ifndef SCRIPT_PUSH_H
#define SCRIPT_PUSH_H

#include <lua.h>

#include "script/script_internal.h"
#include "session/push.h"

/* Returns the bytes of the arguments from `first` on, which are left on the stack: a string, or
 * what the protocol's encode() makes of all of them. `name` is the function's that was called. May
 * raise, and may run anything. */
struct span push_encode(lua_State *state, struct script *script, int first, const char *name);

/* Pushes true; or false and why. Returns how many values. Raises for PUSH_NO_MEMORY. */
int push_give_result(lua_State *state, enum push_result result);

/* Makes the methods. May raise. */
void push_install(lua_State *state, struct script *script);

#endif
