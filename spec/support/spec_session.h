/* spec_session.h: what spec_session.c and spec_handlers.c share. */
#ifndef SPEC_SESSION_H
#define SPEC_SESSION_H

#include <lua.h>

#include "base/log.h"
#include "session/handler.h"

struct peer;

/* Conversations that end with what they were opened from. */
struct spec_peers {
  struct peer *first; /* those whose sessions live */
  struct session_failures failures;
  struct held_strings held;
};

/* Pushes a conversation, or nothing when there is no memory; returns how many values that are. What
 * the peers belong to stands at index 1, a table of options at 2, and nothing above. */
int spec_open_peer(lua_State *L, struct spec_peers *all, const char *name, struct handler *handler);

void spec_close_peers(struct spec_peers *peers);

/* handlers(): see spec_handlers.c. */
int spec_new_handlers(lua_State *L);
void spec_register_handlers(lua_State *L);

#endif
