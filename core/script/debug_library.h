/* debug_library.h: what scripts may do with Lua's debug library.
 *
 * They see and change what is in Lua. The core's own functions, their variables and the registry
 * hold pointers that the core relies on, so that these are out of reach. */
#ifndef SCRIPT_DEBUG_LIBRARY_H
#define SCRIPT_DEBUG_LIBRARY_H

#include <lua.h>

/* Changes the library. May raise (memory). */
void debug_library_install(lua_State *state);

#endif
