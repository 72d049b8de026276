/* module_parlance.h: `require "parlance"`, what a script has from its server. */
#ifndef SCRIPT_MODULE_PARLANCE_H
#define SCRIPT_MODULE_PARLANCE_H

#include <lua.h>

/* Pushes the module's table; `service` (which must outlive the state) names the script in the log.
 * May raise. */
void module_parlance_push(lua_State *state, const char *service);

#endif
