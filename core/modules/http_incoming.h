/* http_incoming.h: the table that framing.http { responses = true } gives: a response of a server.
 *
 * Its fields are status, reason, version, headers, body and keep_alive. Nothing in it is made
 * later.
 */
#ifndef MODULES_HTTP_INCOMING_H
#define MODULES_HTTP_INCOMING_H

#include <lua.h>

#include "framing/framing.h"

/* Pushes the response of a COMPLETE answer, whose bytes must still be in the input. May raise
 * (memory). */
void http_incoming_push(lua_State *L, const struct framing_answer *answer);

#endif
