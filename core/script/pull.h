/* pull.h: gets the next piece of a response that a function makes, or that is read from a pipe. */
#ifndef SCRIPT_PULL_H
#define SCRIPT_PULL_H

#include <lua.h>
#include <stdint.h>

#include "session/steps.h"

/* Queues the next piece of the session's stream, at most `blocksize` bytes of a file. Queues
 * nothing if a function has returned only "" for `patience` ms. Runs inside the gate and may raise.
 */
void pull_stream(lua_State *state, struct session *session, lua_Integer blocksize,
                 int64_t patience);

#endif
