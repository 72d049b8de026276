/* pull.h: the next piece of a response whose bytes are made, or read, while it goes out. */
#ifndef SCRIPT_PULL_H
#define SCRIPT_PULL_H

#include <lua.h>
#include <stdint.h>

#include "session/session.h"

/* Queues the next piece of the stream whose turn it is, at most `blocksize` bytes of a file. After
 * `patience` ms in which a function has nothing to say it may queue none. Runs inside the gate and
 * may raise. */
void pull_stream(lua_State *state, struct session *session, lua_Integer blocksize,
                 int64_t patience);

#endif
