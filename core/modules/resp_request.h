/* resp_request.h: the list in self.request with framing.resp: the arguments of a Redis command. */
#ifndef MODULES_RESP_REQUEST_H
#define MODULES_RESP_REQUEST_H

#include <lua.h>

#include "framing/framing.h"

/* Pushes the list of a COMPLETE answer, whose bytes must still be in the input. May raise (memory).
 */
void resp_request_push(lua_State *L, const struct framing *framing,
                       const struct framing_answer *answer);

#endif
