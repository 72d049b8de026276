/* connections.h: parlance.connections(), the clients that are connected. */
#ifndef SCRIPT_CONNECTIONS_H
#define SCRIPT_CONNECTIONS_H

#include <lua.h>

struct script;

/* Sets the field `connections` of the table on the top. May raise. */
void connections_install(lua_State *state, struct script *script);

#endif
