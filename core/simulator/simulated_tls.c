/* What a simulated client shows when it begins TLS. */
#include <string.h>

#include "session/session.h"
#include "simulator/arguments.h"
#include "simulator/simulated.h"

/* The user value of a connection that holds the texts. */
enum { TEXTS = 3 };

/* Adds the field of the table, or another text if it is nil, and a zero byte. */
static void add_text(lua_State *L, luaL_Buffer *texts, int table, const char *name,
                     const char *otherwise) {
  luaL_addstring(texts, arguments_text(L, table, name, otherwise));
  luaL_addchar(texts, '\0');
}

static void add_names(lua_State *L, luaL_Buffer *texts, int names) {
  lua_Integer count = lua_istable(L, names) ? (lua_Integer)lua_rawlen(L, names) : 0;
  for (lua_Integer i = 1; i <= count; i++) {
    if (lua_rawgeti(L, names, i) != LUA_TSTRING) luaL_error(L, "names must be strings");
    const char *name = lua_tostring(L, -1);
    lua_pop(L, 1);
    luaL_addstring(texts, name);
    luaL_addchar(texts, '\0');
  }
}

/* Pushes the texts of session_describe_tls() for a table with the fields of `self.tls`. The other
 * tables stand below the buffer, which needs the top of the stack. */
static void push_texts(lua_State *L, int table) {
  luaL_Buffer texts;
  luaL_checktype(L, table, LUA_TTABLE);
  lua_getfield(L, table, "peer");
  if (!lua_istable(L, -1)) lua_newtable(L);
  int peer = lua_gettop(L);
  lua_getfield(L, peer, "names");
  luaL_buffinit(L, &texts);
  add_text(L, &texts, table, "version", "TLSv1.3");
  add_text(L, &texts, table, "cipher", "TLS_AES_256_GCM_SHA384");
  add_text(L, &texts, table, "server_name", "");
  add_text(L, &texts, table, "alpn", "");
  add_text(L, &texts, peer, "subject", "");
  add_text(L, &texts, peer, "issuer", "");
  add_text(L, &texts, peer, "fingerprint", "");
  add_names(L, &texts, peer + 1);
  luaL_pushresult(&texts);
}

void simulated_set_tls(lua_State *L, struct simulated_connection *connection, int index,
                       int table) {
  int top = lua_gettop(L);
  push_texts(L, table);
  connection->tls.data = lua_tolstring(L, -1, &connection->tls.length);
  lua_setiuservalue(L, index, TEXTS);
  lua_settop(L, top);
  connection->who.transport = "tls";
  connection->who.can_secure = false;
}

enum status simulated_describe_tls(struct session_owner *owner, struct span *texts) {
  *texts = ((struct simulated_connection *)owner)->tls;
  return texts->data ? STATUS_OK : STATUS_CLOSED;
}

int simulated_start_tls(lua_State *L) {
  struct simulated_connection *connection = simulated_check(L);
  bool is_due = session_is_securing(connection->session);
  if (is_due) {
    simulated_set_tls(L, connection, 1, 2);
    session_secured(connection->session, connection->simulation->now);
    simulated_settle(connection);
  }
  lua_pushboolean(L, is_due);
  return 1;
}
