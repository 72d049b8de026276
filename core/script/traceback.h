/* traceback.h: writes the traceback of an error, with bounded length and cost.
 *
 * Like luaL_traceback(), but without an allocation. */
#ifndef SCRIPT_TRACEBACK_H
#define SCRIPT_TRACEBACK_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Writes "stack traceback:" and the levels of `of` from `level` on: the first ten, and the last
 * eleven unless the stack is very deep. The C function at the bottom, which is the server's, is
 * left out. Returns the length of the text. `state` and `of` need TRACEBACK_SLOTS free slots, and
 * may be the same. */
enum { TRACEBACK_SLOTS = 8 };
size_t traceback_write(lua_State *state, lua_State *of, int level, char *text, size_t size);

/* Writes the name under which a loaded module has the function on the top, such as "table.sort".
 * False: none has it, and nothing is written. Needs five free slots. */
bool traceback_name_function(lua_State *state, char *name, size_t size);

#endif
