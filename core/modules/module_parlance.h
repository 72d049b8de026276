/* module_parlance.h: `require "parlance"`, what a script has from its server. */
#ifndef MODULES_MODULE_PARLANCE_H
#define MODULES_MODULE_PARLANCE_H

#include <lua.h>

#include "script/script.h"

/* Pushes the module's table; `service` names the script in the log, and `clock`, which may be NULL,
 * is what it calls now and the time; both must outlive the state. May raise. */
void module_parlance_push(lua_State *state, const char *service, const struct script_clock *clock);

#endif
