/* sleep.h: parlance.sleep(). */
#ifndef SCRIPT_SLEEP_H
#define SCRIPT_SLEEP_H

#include <lua.h>

/* Sets the field `sleep` of the table on the top. May raise. */
void sleep_install(lua_State *state);

#endif
