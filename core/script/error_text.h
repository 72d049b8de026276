/* error_text.h: what an error value of a script says to people. */
#ifndef SCRIPT_ERROR_TEXT_H
#define SCRIPT_ERROR_TEXT_H

#include <lua.h>

/* Pushes a text for the value at index, and returns it. A call of nil is explained where a module
 * of the server was asked for a name that it lacks; a table without __tostring is shown with some
 * of its fields. May raise, and may call a __tostring. */
const char *error_text_push(lua_State *state, int index);

#endif
