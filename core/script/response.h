/* response.h: turns what a function of the script returns into output of its session.
 *
 * That is a string, a file, a function, a part of a file, a list of these, or nil. Everything here
 * runs inside the gate and may raise, unless a comment says otherwise. */
#ifndef SCRIPT_RESPONSE_H
#define SCRIPT_RESPONSE_H

#include <lua.h>
#include <stdbool.h>

#include "script/generation.h"
#include "session/steps.h"

/* Queues the value on the top of the stack, which `function` returned, and uses up the stack from
 * it on. If the value is not a response, queues nothing and raises an error that names the function
 * and the value. False: a file cannot be read, nothing is queued, and session_fail() was called. In
 * every case the files in the value are closed, except for those that were queued. */
bool response_queue(lua_State *state, struct session *session, const struct generation *generation,
                    enum function function);

/* A reference that a session holds is negative if it stands for a descriptor, and otherwise it is
 * one of luaL_ref(). Closes the descriptor that the reference stands for; false if it stands for a
 * value in Lua. May be called outside of the gate, and cannot fail. */
bool response_close_descriptor(int reference);

#endif
