/* sandbox.h: keeps simulated scripts from changing the machine. A script that runs a program,
 * writes to a file outside of its own folder, or opens a connection gets a Lua error.
 *
 * Of modules in C, only the functions of lfs and LuaSocket are guarded. Other modules are not.
 */
#ifndef MODULES_SANDBOX_H
#define MODULES_SANDBOX_H

#include <lua.h>

#include "script/script.h"

/* Guards the functions of the standard libraries, before any script runs. `sandbox` must outlive
 * the state. May raise. */
void sandbox_install(lua_State *state, struct script_sandbox *sandbox);

#endif
