/* arguments.h: what Lua gives for scripts and conversations and what it is told of them. For the
 * simulator room, and for the module of the specs (spec/support), which has conversations of
 * another kind. */
#ifndef SIMULATOR_ARGUMENTS_H
#define SIMULATOR_ARGUMENTS_H

#include <lauxlib.h>
#include <lua.h>

#include "reload/reload.h"
#include "session/session.h"

/* Adds a class whose objects are closed by garbage collection and at the end of their block. */
void arguments_add_class(lua_State *L, const char *name, const luaL_Reg *methods,
                         lua_CFunction close);

/* The table at index, which may be nil, becomes a copy, which nobody can change: texts of it live
 * as long as it does. Nothing may stand above. */
void arguments_take_table(lua_State *L, int index);

/* A text, a truth or a number of the table at index; what else it is is an error of the caller's.
 */
const char *arguments_text(lua_State *L, int table, const char *name, const char *otherwise);
bool arguments_flag(lua_State *L, int table, const char *name);
lua_Integer arguments_integer(lua_State *L, int table, const char *name, lua_Integer otherwise);

/* The path at 1 and the table at 2; times are in ms. */
void arguments_script(lua_State *L, struct script_options *options);

/* Who talks to whom, by the table at index. */
void arguments_identity(lua_State *L, int table, const char *service, struct session_identity *who);

/* The userdata on top, which has two user values, keeps what stands at 1 and 2. */
void arguments_keep(lua_State *L);

/* Pushes "reloaded", "unchanged", "refused" or "lacking". */
void arguments_push_outcome(lua_State *L, enum script_reload outcome);

/* Pushes the list of the paths that should be watched. */
void arguments_push_files(lua_State *L, const struct script *script);

#endif
