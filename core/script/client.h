/* client.h: `self`, the table that stands for a conversation in a script.
 *
 * A `self` is an ordinary table that inherits from the protocol. Fields such as `client_address`
 * are made when the script reads them first: most scripts never do, and an idle connection stays
 * small. A script may keep a `self` after its conversation has ended; it then has only the fields
 * that were read before. */
#ifndef SCRIPT_CLIENT_H
#define SCRIPT_CLIENT_H

#include <lua.h>

#include "session/steps.h"

/* The marks of a session (session_marks()) that the script room uses. */
enum {
  CLIENT_IS_ASKED = 1,    /* request_complete is running: self.incoming is kept and counted. */
  CLIENT_HAS_REQUEST = 2, /* The core has set self.request for the current request. */
  CLIENT_IS_ANSWERED = 4, /* The request of self.request was answered: the field is removed next. */
  CLIENT_WAS_ASKED = 8,   /* request_complete has returned that the request is incomplete. */
  CLIENT_KEEPS_INPUT = 16 /* make_response has looked at self.incoming, which stays as it was. */
};

/* Returns the session of the `self` at index; NULL: the value is something else, or its
 * conversation has ended. Allocates nothing in Lua. */
struct session *client_session(lua_State *state, int index);

void client_mark(struct session *session, unsigned marks);
void client_unmark(struct session *session, unsigned marks);

/* Sets self.request to the value at index `value`. `self` stands at index. May raise. */
void client_set_request(lua_State *state, int index, int value);

/* Notes that the core has set self.request. */
void client_note_request(struct session *session);

/* Pushes the table of the methods that each `self` has where its protocol has no field with that
 * name. May raise. */
void client_push_methods(lua_State *state);

/* Pushes a metatable for each `self` of the protocol at index `protocol`. May raise. */
void client_push_metatable(lua_State *state, int protocol);

/* Pushes the `self` of a session. If it has none yet, one is made with the metatable that has this
 * reference. May raise. */
void client_push(lua_State *state, struct session *session, int metatable);

/* Replaces the metatable `from` of a session's `self`, if it has one, by `to`, so that it inherits
 * from another protocol. A metatable that the script itself has set stays. Cannot raise. */
void client_adopt(lua_State *state, const struct session *session, int from, int to);

/* Removes the link between `self` and session. Cannot raise. */
void client_forget(lua_State *state, struct session *session);

#endif
