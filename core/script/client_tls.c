#include "script/client_tls.h"

#include <lauxlib.h>
#include <string.h>

#include "script/client.h"
#include "script/task.h"
#include "session/body.h"
#include "session/datagram.h"
#include "session/session.h"
#include "session/tunnel.h"

/* Pushes the next text of a list, or nil for an empty one. Returns what stands behind it. */
static const char *push_next(lua_State *state, const char *text) {
  size_t length = strlen(text);
  if (length > 0)
    lua_pushlstring(state, text, length);
  else
    lua_pushnil(state);
  return text + length + 1;
}

static const char *set_next(lua_State *state, const char *text, const char *field) {
  text = push_next(state, text);
  lua_setfield(state, -2, field);
  return text;
}

static const char *set_names(lua_State *state, const char *text, const char *end) {
  lua_newtable(state);
  for (lua_Integer i = 1; text < end; i++) {
    text = push_next(state, text);
    lua_rawseti(state, -2, i);
  }
  lua_setfield(state, -2, "names");
  return text;
}

/* The texts are copied to Lua at once, before a finalizer could ask for those of another session.
 */
void client_tls_push(lua_State *state, struct session *session) {
  struct span all;
  switch (session_describe_tls(session, &all)) {
  case STATUS_OK: client_tls_push_texts(state, all); break;
  case STATUS_NO_MEMORY: gate_raise_no_memory(state); break;
  default: lua_pushnil(state); break;
  }
}

void client_tls_push_texts(lua_State *state, struct span all) {
  size_t length;
  lua_pushlstring(state, all.data, all.length);
  const char *text = lua_tolstring(state, -1, &length), *end = text + length;
  lua_createtable(state, 0, 5);
  text = set_next(state, text, "version");
  text = set_next(state, text, "cipher");
  text = set_next(state, text, "server_name");
  text = set_next(state, text, "alpn");
  if (end - text > 3) { /* else its three texts are empty */
    lua_createtable(state, 0, 4);
    text = set_next(state, text, "subject");
    text = set_next(state, text, "issuer");
    text = set_next(state, text, "fingerprint");
    set_names(state, text, end);
    lua_setfield(state, -2, "peer");
  }
  lua_remove(state, -2);
}

/* ---- self:start_tls ------------------------------------------------------------------------ */

static void check_place(lua_State *state, const struct session *session) {
  const struct task *task = gate_of(state)->running;
  if (session_is_datagram(session))
    luaL_error(state, "self:start_tls needs a connection, and this `self` stands for a datagram");
  if (session_will_secure(session))
    luaL_error(state, "self:start_tls was called before for this response");
  if (!task || session != task->session || !session_can_secure(session))
    luaL_error(state, "self:start_tls works only in the make_response of the same connection");
  if (session_is_in_body(session))
    luaL_error(state, "self:start_tls: read self.request.body to its end first");
}

/* Looking who is connected allocates nothing in Lua. */
static void check_means(lua_State *state, struct session *session) {
  struct session_identity who;
  session_identify(session, &who);
  if (strcmp(who.transport, "tls") == 0)
    luaL_error(state, "self:start_tls: the connection has TLS already");
  if (!who.can_secure)
    luaL_error(state, "self:start_tls needs a certificate: start the server with --certificate");
}

/* self:start_tls() */
static int start_tls(lua_State *state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  struct session *session = client_session(state, 1);
  bool is_over = !session || session_has_tunnel(session);
  if (!is_over) {
    check_place(state, session);
    check_means(state, session);
    session_secure(session);
  }
  lua_pushboolean(state, !is_over);
  if (!is_over) return 1;
  lua_pushliteral(state, "closed");
  return 2;
}

void client_tls_install(lua_State *state) {
  client_push_methods(state);
  lua_pushcfunction(state, start_tls);
  lua_setfield(state, -2, "start_tls");
  lua_pop(state, 1);
}
