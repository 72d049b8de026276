/* environment.h: the globals of one version of a script, and of the modules beside it.
 *
 * Each version begins with globals of its own: Lua's library, and `require`, `load`, `loadfile`,
 * `dofile` and `package.loaded` that keep to it. A module that lies beside the script belongs to
 * the version that required it, and is loaded anew with the next one; all other modules (the
 * server's, the system's, C modules) are loaded once and shared. */
#ifndef RELOAD_ENVIRONMENT_H
#define RELOAD_ENVIRONMENT_H

#include <lua.h>

#include "reload/sources.h"
#include "script/script.h"

/* To be called once for a state, before the first script runs: sets package.path, and what is
 * loaded now cannot be hidden by a module beside a script. May raise. */
void environment_prepare(lua_State *state, const struct script_options *options);

/* Pushes a new environment, and behind it a userdata that holds its sources. `path` is the
 * script's. May raise. */
struct sources *environment_push(lua_State *state, const char *path);

/* Compiles and runs the file at path in the environment at index, with `arguments` values from the
 * top, and leaves one result. Raises what is wrong. */
void environment_run(lua_State *state, int environment, struct sources *sources, const char *path,
                     int arguments);

#endif
