/* http_request.h: the table in self.request with framing.http.
 *
 * Its fields are method, target, version, headers, body and keep_alive. Most scripts read few
 * headers or none, so `headers` is made from a copy of the field lines when a script first reads
 * it. The usual values are not stored but come from the metatable: the method GET, the version
 * "1.1", an empty body, and keep_alive = true. */
#ifndef MODULES_HTTP_REQUEST_H
#define MODULES_HTTP_REQUEST_H

#include <lua.h>
#include <stdbool.h>

#include "script/framing_value.h"

/* Prepares the state; may be called again. May raise (memory). */
void http_request_open(lua_State *L);

/* Pushes the metatable of requests. A request loses it when pairs() is called on the request. */
void http_request_push_metatable(lua_State *L);

/* Pushes the table of the headers that the field lines hold. May raise (memory). */
void http_headers_push(lua_State *L, struct span lines);

/* Pushes the body of a COMPLETE answer, its chunks joined. May raise (memory). */
void http_body_push(lua_State *L, const struct framing_answer *answer);

/* How many user values the userdata of an HTTP framing has. They hold what all requests share. */
enum { HTTP_REQUEST_VALUES = 2 };

/* Sets the user values of the framing's userdata at `index`, once. `is_streamed`: the body of each
 * request is a stream. May raise (memory). */
void http_request_prepare(lua_State *L, int index, bool is_streamed);

/* Push the request of an answer that is COMPLETE or HEAD. With stream_body, and at the step
 * SESSION_ANSWER, its body is that of the session; else it has ended. */
framing_push_request http_request_push, http_request_push_streamed;

/* goes_on(self), for lua/parlance/http.lua: whether another request can follow behind the body of
 * this one. */
int http_request_goes_on(lua_State *L);

#endif
