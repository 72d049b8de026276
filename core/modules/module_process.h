/* module_process.h: `require "parlance.process"`: programs that a script runs. */
#ifndef MODULES_MODULE_PROCESS_H
#define MODULES_MODULE_PROCESS_H

#include <lua.h>

/* The opener of the module: pushes its table. May raise. */
int module_process_open(lua_State *state);

#endif
