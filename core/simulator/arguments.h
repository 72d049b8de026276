/* arguments.h: reads the arguments of Lua functions that load scripts and open connections, and
 * pushes what such functions return. The module of the specs (spec/support) uses it too. */
#ifndef SIMULATOR_ARGUMENTS_H
#define SIMULATOR_ARGUMENTS_H

#include <lauxlib.h>
#include <lua.h>

#include "reload/reload.h"
#include "session/session.h"

/* Registers a class. `close` runs at garbage collection and at the end of a to-be-closed variable.
 */
void arguments_add_class(lua_State *L, const char *name, const luaL_Reg *methods,
                         lua_CFunction close);

/* Replaces the table or nil at index by a copy that the caller cannot reach: its strings live as
 * long as the copy. Removes what stands above index. */
void arguments_take_table(lua_State *L, int index);

/* Return a field of the table at index, or `otherwise` if it is nil. Raise if it has another type.
 */
const char *arguments_text(lua_State *L, int table, const char *name, const char *otherwise);
lua_Integer arguments_integer(lua_State *L, int table, const char *name, lua_Integer otherwise);

/* Returns whether a field of the table at index is true. */
bool arguments_flag(lua_State *L, int table, const char *name);

/* Makes options of the path at 1 and the table at 2, whose times are in ms. */
void arguments_script(lua_State *L, struct script_options *options);

/* Makes the addresses of a connection of the table at index, or default ones. */
void arguments_identity(lua_State *L, int table, const char *service, struct session_identity *who);

/* Stores the values at 1 and 2 in the two user values of the userdata on top. */
void arguments_keep(lua_State *L);

/* Pushes the outcome as a word, such as "reloaded". */
void arguments_push_outcome(lua_State *L, enum reload_outcome outcome);

/* Pushes the list of the paths of the script's files. */
void arguments_push_files(lua_State *L, const struct script *script);

#endif
