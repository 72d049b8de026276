/* modules.h: opens what a script finds in its Lua state beyond Lua's own libraries. */
#ifndef MODULES_MODULES_H
#define MODULES_MODULES_H

#include "script/script.h"

/* A script_opener: parlance, parlance.framing, parlance.files and the C part of parlance.http; and,
 * in a simulated script, other globals for the time, for what is printed, and for all that has
 * effects on the machine. */
void modules_open(struct lua_State *state, const struct script_options *options,
                  const char *service);

/* Another play begins of a script that is simulated: math.random() gives the same again. */
void modules_begin_play(struct script *script);

#endif
