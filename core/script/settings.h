/* settings.h: parlance.settings, the values that --set NAME=VALUE gives to a script, and the field
 * `settings` of the protocol, which documents their names. */
#ifndef SCRIPT_SETTINGS_H
#define SCRIPT_SETTINGS_H

#include <lua.h>

#include "script/script.h"

/* Pushes a read-only table of the settings that were given; all values are strings. May raise. */
void settings_push(lua_State *state, const struct script_options *options);

/* Raises an error if the field `settings` of the protocol at this index is not valid. Logs a
 * warning for each setting that was given but is not in the field. */
void settings_check(lua_State *state, int protocol, const struct script_options *options,
                    const char *service);

/* Calls `visit` for each setting that the protocol at this index documents, in alphabetical order.
 * `about` is the line that describes the setting; `value` is the value that was given, or NULL. */
void settings_describe(lua_State *state, int protocol, const struct script_options *options,
                       script_setting_visit visit, void *context);

#endif
