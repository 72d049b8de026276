/* client_tls.h: `self.tls` and `self:start_tls`. */
#ifndef SCRIPT_CLIENT_TLS_H
#define SCRIPT_CLIENT_TLS_H

#include <lua.h>

#include "base/span.h"

struct session;

/* Pushes what is known of the TLS of the connection, or nil. May raise. */
void client_tls_push(lua_State *state, struct session *session);

/* Pushes the table of the texts of tls_describe() in io/tls.h. They are copied to Lua first. May
 * raise. */
void client_tls_push_texts(lua_State *state, struct span all);

/* Adds the method to those of every `self`. May raise. */
void client_tls_install(lua_State *state);

#endif
