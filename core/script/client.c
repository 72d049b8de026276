#include "script/client.h"

#include <lauxlib.h>
#include <string.h>

/* The key under which a `self` has its session, as a light userdata: no name of a script's can be
 * the same. */
static const char session_key;

/* The fields that are made when they are asked for: upvalues of index(), whose texts are compared
 * by address, since Lua keeps one copy of a short string. */
enum { PROTOCOL = 1, CLIENT_ADDRESS, HOST, SERVER, INCOMING, UPVALUES = INCOMING };

static struct session *session_of(lua_State *state, int self) {
  if (!lua_istable(state, self)) return NULL;
  lua_rawgetp(state, self, &session_key);
  struct session *session = lua_touserdata(state, -1);
  lua_pop(state, 1);
  return session;
}

static void push_address(lua_State *state, const char *host, unsigned port) {
  lua_createtable(state, 0, 2);
  lua_pushstring(state, host);
  lua_setfield(state, -2, "host");
  lua_pushinteger(state, port);
  lua_setfield(state, -2, "port");
}

/* self, key: keeps the value on the top in self and leaves it there. */
static int keep(lua_State *state) {
  lua_pushvalue(state, 2);
  lua_pushvalue(state, -2);
  lua_rawset(state, 1);
  return 1;
}

static int inherit(lua_State *state) {
  lua_settop(state, 2);
  lua_gettable(state, lua_upvalueindex(PROTOCOL));
  return 1;
}

static bool is_upvalue(lua_State *state, const char *key, int upvalue) {
  return key == lua_tostring(state, lua_upvalueindex(upvalue));
}

/* __index(self, key) */
static int index_client(lua_State *state) {
  if (lua_type(state, 2) != LUA_TSTRING) return inherit(state);
  const char *key = lua_tostring(state, 2);
  bool is_peer = is_upvalue(state, key, CLIENT_ADDRESS);
  bool is_host = is_upvalue(state, key, HOST);
  bool is_server = is_upvalue(state, key, SERVER);
  if (!is_peer && !is_host && !is_server && !is_upvalue(state, key, INCOMING))
    return inherit(state);
  struct session *session = session_of(state, 1);
  if (!session) return inherit(state);
  if (!is_peer && !is_host && !is_server) {
    struct span input = session_input(session);
    lua_pushlstring(state, input.data ? input.data : "", input.length);
    return 1;
  }
  struct session_identity who;
  session_identify(session, &who);
  if (is_peer)
    push_address(state, who.host, who.port);
  else if (is_host)
    lua_pushstring(state, who.name);
  else
    push_address(state, who.server_host, who.server_port);
  return keep(state);
}

void client_push_metatable(lua_State *state, int protocol) {
  lua_createtable(state, 0, 1);
  lua_pushvalue(state, protocol);
  lua_pushliteral(state, "client_address");
  lua_pushliteral(state, "host");
  lua_pushliteral(state, "server");
  lua_pushliteral(state, "incoming");
  lua_pushcclosure(state, index_client, UPVALUES);
  lua_setfield(state, -2, "__index");
}

void client_push(lua_State *state, struct session *session, int metatable) {
  if (session_client(session) != 0) {
    lua_rawgeti(state, LUA_REGISTRYINDEX, session_client(session));
    return;
  }
  lua_createtable(state, 0, 2);
  lua_rawgeti(state, LUA_REGISTRYINDEX, metatable);
  lua_setmetatable(state, -2);
  lua_pushlightuserdata(state, session);
  lua_rawsetp(state, -2, &session_key);
  lua_pushvalue(state, -1);
  session_set_client(session, luaL_ref(state, LUA_REGISTRYINDEX));
}

/* Only fields that exist are changed. */
void client_forget(lua_State *state, struct session *session) {
  if (session_client(session) == 0) return;
  lua_rawgeti(state, LUA_REGISTRYINDEX, session_client(session));
  lua_pushnil(state);
  lua_rawsetp(state, -2, &session_key);
  lua_pop(state, 1);
  luaL_unref(state, LUA_REGISTRYINDEX, session_client(session));
  session_set_client(session, 0);
}
