/* body.h: the body of a request as a stream of the script (session/body.h), which can only be read.
 *
 * It belongs to its request: it can be read until the response was sent, by any task. It is read
 * only while somebody waits for its bytes. */
#ifndef SCRIPT_BODY_H
#define SCRIPT_BODY_H

#include <lua.h>

struct session;

/* Pushes the body of the session, which has one; NULL: a body that has ended. May raise. */
void body_push(lua_State *state, struct session *session);

#endif
