/* sleep.h: parlance.sleep(), and self:set_response_timeout(). */
#ifndef SCRIPT_SLEEP_H
#define SCRIPT_SLEEP_H

#include <lua.h>

/* Sets the field `sleep` of the table on the top, and makes the method. May raise. */
void sleep_install(lua_State *state);

#endif
