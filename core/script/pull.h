/* pull.h: the parts of a response whose bytes are made or read while it is sent. */
#ifndef SCRIPT_PULL_H
#define SCRIPT_PULL_H

#include <lua.h>
#include <stdbool.h>

#include "session/steps.h"

/* At SESSION_PULL: pushes the function that makes the next piece. False: the stream is a file; its
 * next piece was read, and what stands on the stack is of no use. May raise. */
bool pull_push_function(lua_State *state, struct session *session, lua_Integer blocksize);

/* Reports SESSION_PULL with what that function has returned, which is on the top. If that is "",
 * the function is to be called again: *empty_pieces counts how often in a row. May raise. */
void pull_take_piece(lua_State *state, struct session *session, unsigned *empty_pieces);

#endif
