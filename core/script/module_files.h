/* module_files.h: `require "parlance.files"`, files and folders beneath a root, and none outside.
 *
 * For protocols that take names from the network. A root is a folder that was opened once; what is
 * opened by it is checked on the open descriptor, so that no race with a rename leads out. Lua's
 * garbage collector closes what a script forgets.
 *
 * A file that root:open() gave is a descriptor and nothing more, and stands at its beginning, until
 * a script first uses it: then it becomes a stream of the io library. Most are only sent. */
#ifndef SCRIPT_MODULE_FILES_H
#define SCRIPT_MODULE_FILES_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* A lua_CFunction for luaL_requiref: pushes the module's table. */
int module_files_open(lua_State *state);

/* False if the value at index is anything but an open file that is still no stream. Otherwise gives
 * its descriptor and the bytes that it had when it was opened. It is a regular file. */
bool module_files_look(lua_State *state, int index, int *fd, int64_t *size);

/* Gives the descriptor of such a file to the caller; for the script it is closed from here on.
 * Raises nothing. */
void module_files_take(lua_State *state, int index);

/* Makes a stream of such a file; leaves anything else alone. May raise. */
void module_files_make_stream(lua_State *state, int index);

#endif
