/* reply_value.h: the value that framing.resp { replies = true } gives: what a Redis has answered.
 *
 * A string or an integer is one in Lua, a null is nil, an array is a list with its length in the
 * field `n`, as table.pack makes one. An error is a table with the field `err`, as in the scripts
 * of Redis; tostring() of it gives the text. */
#ifndef MODULES_REPLY_VALUE_H
#define MODULES_REPLY_VALUE_H

#include <lua.h>

#include "framing/framing.h"

/* Prepares the state; may be called again. May raise (memory). */
void reply_value_open(lua_State *L);

/* Pushes the value of a COMPLETE answer, whose bytes must still be in the input. May raise
 * (memory).
 */
void reply_value_push(lua_State *L, const struct framing_answer *answer);

#endif
