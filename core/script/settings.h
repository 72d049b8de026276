/* settings.h: parlance.settings, what whoever starts a script tells it (--set NAME=VALUE), and the
 * protocol's field `settings`, which says what there is to be told. */
#ifndef SCRIPT_SETTINGS_H
#define SCRIPT_SETTINGS_H

#include <lua.h>

#include "script/script.h"

/* Pushes a table of the settings that were given, all strings, that cannot be changed. May raise.
 */
void settings_push(lua_State *state, const struct script_options *options);

/* Raises what is wrong with the field `settings` of the protocol at index. Logs a warning for each
 * setting that was given and that the field does not have. */
void settings_check(lua_State *state, int protocol, const struct script_options *options,
                    const char *service);

/* Calls `visit` for each setting that the protocol at index documents, in alphabetical order.
 * `about` is the line that says what it is; `value` is what was given, or NULL. */
void settings_describe(lua_State *state, int protocol, const struct script_options *options,
                       script_setting_visit visit, void *context);

#endif
