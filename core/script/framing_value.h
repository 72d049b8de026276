/* framing_value.h: a framing as a value that a script holds, a full userdata that Lua owns.
 *
 * modules/module_framing.c makes them, for `require "parlance.framing"`. What a script gets as
 * self.request is left to the function that the value brings along. */
#ifndef SCRIPT_FRAMING_VALUE_H
#define SCRIPT_FRAMING_VALUE_H

#include <lua.h>

#include "framing/framing.h"

/* Pushes what the script is to find in self.request. The framing's userdata stands at `index`,
 * which is absolute (positive); `answer` is COMPLETE, and the bytes that it was decoded from are
 * still there. May raise a Lua error (memory). */
typedef void framing_push_request(lua_State *state, int index, const struct framing *framing,
                                  const struct framing_answer *answer);

struct framing_value {
  const char *class; /* Tells it from other userdata; framing_value_push() sets it. */
  struct framing framing;
  framing_push_request *push_request;
};

/* Takes the table on the top from the stack as the metatable of all such values of the state. May
 * raise. */
void framing_value_open(lua_State *state);

/* Pushes a value with so many user values; the caller fills it in. May raise. */
struct framing_value *framing_value_push(lua_State *state, int user_values);

/* The framing at `index`, for as long as the value there is not collected; NULL if something else
 * is there. Never raises. */
const struct framing_value *framing_value_test(lua_State *state, int index);

#endif
