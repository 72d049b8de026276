/* lock.h: parlance.lock(), which one task holds at a time. */
#ifndef SCRIPT_LOCK_H
#define SCRIPT_LOCK_H

#include <lua.h>

struct script;

/* Sets the field `lock` of the table on the top. May raise. */
void lock_install(lua_State *state, struct script *script);

#endif
