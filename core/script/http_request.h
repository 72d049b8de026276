/* http_request.h: the table that a script finds in self.request behind framing.http.
 *
 * { method, target, version, headers, body, keep_alive }. Most scripts look at few headers or none,
 * so `headers` is made when it is first asked for, from a copy of the field lines; and what nearly
 * every request has, the version "1.1" and an empty body, is given when it is asked for. */
#ifndef SCRIPT_HTTP_REQUEST_H
#define SCRIPT_HTTP_REQUEST_H

#include <lua.h>

#include "framing/framing.h"

/* Prepares the state; may be called again. May raise (memory). */
void http_request_open(lua_State *L);

/* Pushes the request of a COMPLETE result, the bytes of which are still there. May raise (memory).
 */
void http_request_push(lua_State *L, const struct framing_result *result);

#endif
