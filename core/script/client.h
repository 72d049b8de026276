/* client.h: `self`, the client handler that a script sees of a conversation.
 *
 * An ordinary table that inherits from the protocol. What the core knows of the peer is looked up
 * only when the script asks for it: most never do, and an idle connection stays small. A `self`
 * outlives its conversation if the script keeps it; it then knows no more than was asked before. */
#ifndef SCRIPT_CLIENT_H
#define SCRIPT_CLIENT_H

#include <lua.h>

#include "session/session.h"

/* Pushes the metatable for the clients of the protocol at index `protocol`. May raise. */
void client_push_metatable(lua_State *state, int protocol);

/* Pushes the `self` of a session, made with the metatable of that reference if it has none yet. May
 * raise. */
void client_push(lua_State *state, struct session *session, int metatable);

/* The `self` of a session, if it has one, inherits from another protocol from now on: that of the
 * metatable `to` and not `from`. One that the script has given a metatable of its own keeps it.
 * Cannot raise. */
void client_adopt(lua_State *state, const struct session *session, int from, int to);

/* Parts `self` and session; cannot raise. */
void client_forget(lua_State *state, struct session *session);

#endif
