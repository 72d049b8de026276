/* every.h: parlance.every(), a function that runs at regular times, one run after the other. */
#ifndef SCRIPT_EVERY_H
#define SCRIPT_EVERY_H

#include <lua.h>

struct script;

/* Sets the field `every` of the table on the top. May raise. */
void every_install(lua_State *state, struct script *script);

#endif
