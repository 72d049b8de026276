/* module_datagrams.h: `require "parlance.datagrams"`: sockets for datagrams, of which
 * lua/parlance/socket/udp.lua makes those of LuaSocket. Scripts use those. */
#ifndef MODULES_MODULE_DATAGRAMS_H
#define MODULES_MODULE_DATAGRAMS_H

#include <lua.h>

/* The opener of the module: pushes its table. May raise. */
int module_datagrams_open(lua_State *state);

#endif
