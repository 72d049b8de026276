/* module_net.h: `require "parlance.net"`: streams to other servers, and their names. */
#ifndef MODULES_MODULE_NET_H
#define MODULES_MODULE_NET_H

#include <lua.h>

/* The opener of the module: pushes its table. May raise. */
int module_net_open(lua_State *state);

#endif
