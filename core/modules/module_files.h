/* module_files.h: `require "parlance.files"`, access to files and folders beneath a root only.
 *
 * It is for protocols whose clients name files. A root is a folder that stays open. Files are
 * checked after they are opened, so that a rename at the same time cannot lead out of the root.
 * Lua's garbage collector closes a root that a script has forgotten. */
#ifndef MODULES_MODULE_FILES_H
#define MODULES_MODULE_FILES_H

#include <lua.h>

/* A lua_CFunction for luaL_requiref: pushes the module's table. */
int module_files_open(lua_State *state);

#endif
