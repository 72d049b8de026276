/* error_text.h: turns the error value of a script into text for people. */
#ifndef SCRIPT_ERROR_TEXT_H
#define SCRIPT_ERROR_TEXT_H

#include <lua.h>

/* Pushes a text for the value at index, and returns it. An error about a nil value has a hint if a
 * module of the server was asked for a name that it does not have. A table without __tostring is
 * shown with some of its fields. May raise, and may call a __tostring. */
const char *error_text_push(lua_State *state, int index);

#endif
