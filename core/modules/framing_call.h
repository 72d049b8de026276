/* framing_call.h: a framing that a script calls, on `self` or on a table of its own.
 *
 * On a `self` it behaves as in the place of request_complete: it looks at the input where it lies,
 * and remembers how far it has looked, so that no byte of a long request is looked at twice. */
#ifndef MODULES_FRAMING_CALL_H
#define MODULES_FRAMING_CALL_H

#include <lua.h>

#include "script/framing_value.h"

/* The framing stands at index 1, what it is called on at index 2. Returns what a request_complete
 * would. May raise. */
int framing_call(lua_State *L, const struct framing_value *value);

#endif
