/* module_parlance.h: `require "parlance"`, the functions of the server for scripts. */
#ifndef MODULES_MODULE_PARLANCE_H
#define MODULES_MODULE_PARLANCE_H

#include <lua.h>

#include "script/script.h"

/* Pushes the module's table. `service` is the script's name in the log. now() and time() read
 * `clock`; NULL: the clock of the system. Both must outlive the state. May raise. */
void module_parlance_push(lua_State *state, const char *service, const struct script_clock *clock);

#endif
