/* http_response.h: require "parlance.http.response", which makes the heads of HTTP responses. It is
 * private to lua/parlance/http.lua.
 *
 *   new(reasons, date, handler)
 *              Returns the functions make and complain. reasons[status] is the text after the
 * status code. date(time) formats a time in seconds. complain(text) raises an error; errors begin
 * with the place of the handler, if that is a Lua function. make(request, status, headers, body,
 * length) Returns the head, followed by the body if that is a string, and whether the connection
 * must close. `length` is needed unless the body is a string or nil: the number of bytes, or false
 * if it is not known. Returns nothing if it is missing.
 *
 * A head contains only valid headers: a name is a token, and none of the names that say how the
 * bytes are framed; a value has no control byte but a tab. Anything else is an error. The lines are
 * sorted, because Lua gives them in a different order in each run. */
#ifndef MODULES_HTTP_RESPONSE_H
#define MODULES_HTTP_RESPONSE_H

#include <lua.h>

#include "script/script.h"

/* Pushes the module. http_request_open() must have prepared the state. `clock` must outlive the
 * state; NULL: the clock of the system. May raise (memory). */
void http_response_push(lua_State *L, const struct script_clock *clock);

#endif
