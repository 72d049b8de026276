/* sandbox.h: a simulated script has no effects on the machine. It runs no program, changes no file
 * outside of a folder of its own, and connects to nobody: such a call is a Lua error that says so.
 *
 * What C modules do is guarded where they are known (lfs, LuaSocket); what others do is done. */
#ifndef MODULES_SANDBOX_H
#define MODULES_SANDBOX_H

#include <lua.h>

#include "script/script.h"

/* Changes the globals, before any script runs; `sandbox` must outlive the state. May raise. */
void sandbox_install(lua_State *state, struct script_sandbox *sandbox);

#endif
