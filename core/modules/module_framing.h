/* module_framing.h: `require "parlance.framing"`, the framings as values that scripts hold.
 *
 * It checks a script's options once, when the value is made; deciding where a request ends is left
 * to the framing room. A value is a full userdata that Lua owns. */
#ifndef MODULES_MODULE_FRAMING_H
#define MODULES_MODULE_FRAMING_H

#include <lua.h>

#include "framing/framing.h"

/* A lua_CFunction for luaL_requiref or package.preload: pushes the module's table. May be opened
 * any number of times in one state. */
int module_framing_open(lua_State *L);

/* The framing at `index`, for as long as the value there is not collected; NULL if something else
 * is there. Never raises; needs two free stack slots. */
const struct framing *module_framing_test(lua_State *L, int index);

/* The name of the module's function at `index`, which makes framings, "line" and the like; NULL if
 * something else is there. Never raises. */
const char *module_framing_constructor(lua_State *L, int index);

/* Pushes what the script is to find in self.request. The framing stands at the index, too, which is
 * no relative one; `answer` is COMPLETE, and the bytes that it was decoded from are still there.
 * May raise a Lua error (memory). */
void module_framing_push_request(lua_State *L, int index, const struct framing *framing,
                                 const struct framing_answer *answer);

#endif
