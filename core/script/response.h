/* response.h: what a script's function returns, turned into output of its session.
 *
 * A string, a file, a function, a part of a file, a list of these, or nil. Everything here runs
 * inside the gate and may raise. */
#ifndef SCRIPT_RESPONSE_H
#define SCRIPT_RESPONSE_H

#include <lua.h>
#include <stdbool.h>

#include "script/generation.h"
#include "session/steps.h"

/* Queues the value on the top of the stack as what `function` returned; what there is from it on up
 * is then of no more use. Nothing is queued when the value is not a response: then an error is
 * raised that tells which function returned what. False: a file cannot be read, nothing is queued,
 * and session_fail() was called. Whatever comes of it, no file that stands in the value is left
 * open but those that were queued. */
bool response_queue(lua_State *state, struct session *session, const struct generation *generation,
                    enum function function);

/* Closes the descriptor if the reference is that of one and of nothing in Lua, outside of the gate
 * as well; false if it is not. */
bool response_close_descriptor(int reference);

/* Closes the file that was queued under the reference; anything else is left alone. */
void response_close(lua_State *state, int reference);

#endif
