/* client.h: `self`, the client handler that a script sees of a conversation.
 *
 * An ordinary table that inherits from the protocol. What the core knows of the peer is looked up
 * only when the script asks for it: most never do, and an idle connection stays small. A `self`
 * outlives its conversation if the script keeps it; it then knows no more than was asked before. */
#ifndef SCRIPT_CLIENT_H
#define SCRIPT_CLIENT_H

#include <lua.h>

#include "session/session.h"

/* The marks of a session (session_marks()) that the script room uses. */
enum {
  CLIENT_IS_ASKED =
      1, /* request_complete is at work: what it sees of the input is kept and counted */
  CLIENT_HAS_REQUEST = 2, /* the core has set self.request for the request at hand */
  CLIENT_WAS_ASKED = 8, /* request_complete has said that the request at hand is not complete yet */
  CLIENT_IS_ANSWERED = 4 /* which has been answered, so that the field is to go */
};

/* The session of the `self` at index; NULL if something else is there, or if its conversation is
 * over. Allocates nothing in Lua. */
struct session *client_session(lua_State *state, int index);

/* The core has set self.request. */
void client_note_request(struct session *session);

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
