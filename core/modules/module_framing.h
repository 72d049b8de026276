/* module_framing.h: `require "parlance.framing"`, the framings as values for scripts.
 *
 * The options are checked once, when a value is made. The framing room decides where a request
 * ends. A value is a full userdata that Lua owns. */
#ifndef MODULES_MODULE_FRAMING_H
#define MODULES_MODULE_FRAMING_H

#include <lua.h>

/* A lua_CFunction for luaL_requiref or package.preload: pushes the module's table. May be opened
 * any number of times in one state. */
int module_framing_open(lua_State *L);

#endif
