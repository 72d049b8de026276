/* client_tls.h: `self.tls`. */
#ifndef SCRIPT_CLIENT_TLS_H
#define SCRIPT_CLIENT_TLS_H

#include <lua.h>

struct session;

/* Pushes what is known of the TLS of the connection, or nil. May raise. */
void client_tls_push(lua_State *state, struct session *session);

#endif
