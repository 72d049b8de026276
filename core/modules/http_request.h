/* http_request.h: the table that a script finds in self.request behind framing.http.
 *
 * { method, target, version, headers, body, keep_alive }. Most scripts look at few headers or none,
 * so `headers` is made when it is first asked for, from a copy of the field lines. What nearly
 * every request has is not stored, but given when it is asked for: the method GET, the version
 * "1.1", an empty body, and that the client wants to go on. */
#ifndef MODULES_HTTP_REQUEST_H
#define MODULES_HTTP_REQUEST_H

#include <lua.h>

#include "framing/framing.h"

/* Prepares the state; may be called again. May raise (memory). */
void http_request_open(lua_State *L);

/* Pushes the metatable of requests, which they have until all their fields are asked for. */
void http_request_push_metatable(lua_State *L);

/* So many user values has the userdata of an HTTP framing, for what is kept from one request to the
 * next. */
enum { HTTP_REQUEST_VALUES = 2 };

/* Sets the user values of the framing at the index, once. May raise (memory). */
void http_request_prepare(lua_State *L, int framing);

/* Pushes the request of a COMPLETE answer of the framing at the index (which is no relative one);
 * the bytes of it are still there. May raise (memory). */
void http_request_push(lua_State *L, int framing, const struct framing_answer *answer);

#endif
