/* framing_call.h: calls of a framing by a script, on `self` or on another table.
 *
 * A call on `self` works as a framing that is the request_complete: it reads the session's input in
 * place, and remembers how far it has come, so that it looks at each byte of a long request once.
 */
#ifndef MODULES_FRAMING_CALL_H
#define MODULES_FRAMING_CALL_H

#include <lua.h>

#include "script/framing_value.h"

/* The framing is at index 1; the table that it is called on is at index 2. Returns the values of a
 * request_complete. May raise. */
int framing_call(lua_State *L, const struct framing_value *value);

#endif
