/* tunnel.h: parlance.tunnel(), which joins a connection and a stream both ways.
 *
 * The bytes move without Lua: the task waits until both have stopped sending. */
#ifndef SCRIPT_TUNNEL_H
#define SCRIPT_TUNNEL_H

#include <lua.h>

struct task;

/* There is something to do for the tunnel of the task, whose session has one: it has input or room,
 * or what its owner moves has come to an end. Does not enter Lua. */
void tunnel_on_progress(struct task *task);

/* Raises that the function `place`, which stands on the top, has returned the value below it behind
 * a tunnel. */
int tunnel_refuse_result(lua_State *state, const char *place);

/* Sets the field `tunnel` of the table on the top. May raise. */
void tunnel_install(lua_State *state);

#endif
