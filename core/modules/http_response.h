/* http_response.h: require "parlance.http.response", with which lua/parlance/http.lua makes the
 * heads of responses, and nobody else.
 *
 *   new(reasons, date, handler)
 *              a function that makes them: reasons[status] stands behind the status code, and
 *              date(time) writes a time in seconds as HTTP does; and a function that raises a text.
 *              What is wrong is told with the place of the handler, if there is one
 *   make(request, status, headers, body, length)
 *              what new() returns. A body that is a string or nil needs no length; of any other the
 *              length is a number of bytes, or false if only its end will tell. Returns the head,
 *              with the string behind it, and whether the connection is to close; nothing where a
 *              length is needed and not given
 *
 * Nothing that a script gives reaches a head unless it is sound: the name of a header is a token
 * and none that tells how the bytes are laid out, a value holds no control byte but a tab. All else
 * is an error. The lines are put in the order of the alphabet, since the order in which Lua gives
 * them is another one in each run. */
#ifndef MODULES_HTTP_RESPONSE_H
#define MODULES_HTTP_RESPONSE_H

#include <lua.h>

#include "script/script.h"

/* Pushes the module. `clock` lives as long as the state and may be NULL, for our own time. May
 * raise (memory). The state is prepared by http_request_open(). */
void http_response_push(lua_State *L, const struct script_clock *clock);

#endif
