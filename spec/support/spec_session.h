/* spec_session.h: what spec_session.c and spec_handlers.c share. */
#ifndef SPEC_SESSION_H
#define SPEC_SESSION_H

#include <lua.h>

#include "base/log.h"
#include "session/handler.h"

struct peer;

/* The open conversations of a script or of handlers, which are closed together with it. */
struct spec_peers {
  struct peer *first; /* The peers whose sessions are open. */
  struct session_failures failures;
  struct held_strings held;
};

/* Pushes a conversation; nothing if an allocation fails. Returns the number of values. The owner of
 * the peers is at index 1, a table of options at index 2, which is the top. */
int spec_open_peer(lua_State *L, struct spec_peers *all, const char *name, struct handler *handler);

void spec_close_peers(struct spec_peers *peers);

/* handlers(): see spec_handlers.c. */
int spec_new_handlers(lua_State *L);
void spec_register_handlers(lua_State *L);

#endif
