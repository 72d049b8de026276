/* module_names.h: names that a script asks a module of the server for and that it does not have,
 * such as framing.lines.
 *
 * The answer is nil, as Lua's own libraries answer, so that a script can test for what a later
 * version may have (`if framing.either`). But when the script then fails because it has used the
 * nil, the error says which names there are. */
#ifndef SCRIPT_MODULE_NAMES_H
#define SCRIPT_MODULE_NAMES_H

#include <lua.h>
#include <stdbool.h>

/* From now on, names that the table at index lacks are noted. `module` is what it is called. A
 * table that has a metatable, and what is no table, is left as it is. May raise. */
void module_names_watch(lua_State *state, int index, const char *module);

/* Pushes "parlance.framing has no 'lines'; did you mean 'line'? It has ..." if `name` is what was
 * last asked for in vain; NULL stands for any name. False: it is not, and nothing is pushed. May
 * raise. */
bool module_names_push_hint(lua_State *state, const char *name);

#endif
