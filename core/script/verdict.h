/* verdict.h: what request_complete, or `datagram`, has returned. */
#ifndef SCRIPT_VERDICT_H
#define SCRIPT_VERDICT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct generation;
struct session;

/* Reports the verdict of that function about the first `have` bytes to the session. The results
 * of the function stand from ANSWER on (serve_stack.h), and nothing above them. True: a request is
 * complete and has to be answered. Raises if the function has returned something else. */
bool verdict_take(lua_State *state, const struct generation *generation, struct session *session,
                  size_t have);

#endif
