/* protocol.h: runs a script's file and validates the protocol that it returns.
 *
 * What comes of it is a generation: see script/generation.h. */
#ifndef RELOAD_PROTOCOL_H
#define RELOAD_PROTOCOL_H

#include <lua.h>

#include "script/generation.h"
#include "script/script.h"

/* Makes the environment that the script at path is to run in. To be called inside the gate; may
 * raise. */
void protocol_prepare(lua_State *state, struct generation *generation, const char *path);

/* Runs the script file at options->path in the environment that was prepared and fills in the
 * generation. Where the options give no limit, the script's counts. The generation's references
 * live until generation_unload(). To be called inside the gate: raises what is wrong, as a text
 * that names the file; generation->sources then has what was read so far. */
void protocol_load(lua_State *state, struct generation *generation,
                   const struct script_options *options);

#endif
