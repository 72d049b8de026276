/* serve_datagram.h: the step of a datagram (session/datagram.h): its request, and its response. For
 * serve_loop.c. */
#ifndef SCRIPT_SERVE_DATAGRAM_H
#define SCRIPT_SERVE_DATAGRAM_H

#include <lua.h>
#include <stdbool.h>

#include "script/generation.h"

struct session;

/* Sets self.incoming and self.request of the `self` at SELF (serve_stack.h). False: it is no
 * request, and the session has failed. May raise. */
bool serve_datagram_request(lua_State *state, const struct generation *generation,
                            struct session *session);

/* Sends the value on the top, which `function` returned: each string is a datagram. If the value is
 * anything else than a string, a list of strings or nil, sends nothing and raises. */
void serve_datagram_response(lua_State *state, const struct generation *generation,
                             struct session *session, enum function function);

#endif
