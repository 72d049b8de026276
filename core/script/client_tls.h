/* client_tls.h: `self.tls` and `self:start_tls`. */
#ifndef SCRIPT_CLIENT_TLS_H
#define SCRIPT_CLIENT_TLS_H

#include <lua.h>

struct session;

/* Pushes what is known of the TLS of the connection, or nil. May raise. */
void client_tls_push(lua_State *state, struct session *session);

/* Adds the method to those of every `self`. May raise. */
void client_tls_install(lua_State *state);

#endif
