/* module_files.h: `require "parlance.files"`, files and folders beneath a root, and none outside.
 *
 * For protocols that take names from the network. A root is a folder that was opened once; what is
 * opened by it is checked on the open descriptor, so that no race with a rename leads out. Lua's
 * garbage collector closes what a script forgets. */
#ifndef MODULES_MODULE_FILES_H
#define MODULES_MODULE_FILES_H

#include <lua.h>

/* A lua_CFunction for luaL_requiref: pushes the module's table. */
int module_files_open(lua_State *state);

#endif
