/* spawn.h: parlance.spawn(), a function that runs beside, and parlance.any(). */
#ifndef SCRIPT_SPAWN_H
#define SCRIPT_SPAWN_H

#include <lua.h>

struct script;

/* Sets the fields `spawn` and `any` of the table on the top. May raise. */
void spawn_install(lua_State *state, struct script *script);

#endif
