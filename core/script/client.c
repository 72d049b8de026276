#include "script/client.h"

#include <lauxlib.h>
#include <string.h>

#include "framing/proxy.h"
#include "script/client_tls.h"
#include "script/script_internal.h"
#include "session/datagram.h"
#include "session/session.h"

/* The registry's key of a table that has the session of each `self`. The session is not a field of
 * `self`, because a script may read all fields, and copy them into another table. */
static const char sessions_key;

/* The registry's key of the table of the methods. */
static const char methods_key;

/* The upvalues of index_client(): the protocol, the names of the fields that are made when they are
 * read, the methods, and the addresses of the names. Names are compared by address, because Lua
 * keeps one copy of a short string. */
enum {
  PROTOCOL = 1,
  TRANSPORT,
  TLS,
  CLIENT_ADDRESS,
  HOST,
  SERVER,
  PROXY,
  INCOMING,
  AT_END,
  METHODS,
  ADDRESSES,
  UPVALUES = ADDRESSES
};

struct session *client_session(lua_State *state, int index) {
  index = lua_absindex(state, index);
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, &sessions_key) != LUA_TTABLE) {
    lua_pop(state, 1);
    return NULL;
  }
  lua_pushvalue(state, index);
  lua_rawget(state, -2);
  struct session *session = lua_touserdata(state, -1);
  lua_pop(state, 2);
  return session;
}

void client_mark(struct session *session, unsigned marks) {
  session_set_marks(session, session_marks(session) | marks);
}

void client_unmark(struct session *session, unsigned marks) {
  session_set_marks(session, session_marks(session) & ~marks);
}

void client_set_request(lua_State *state, int index, int value) {
  lua_pushliteral(state, "request");
  lua_pushvalue(state, value);
  lua_rawset(state, index);
}

void client_note_request(struct session *session) {
  unsigned others = session_marks(session) & ~(unsigned)CLIENT_IS_ANSWERED;
  session_set_marks(session, others | CLIENT_HAS_REQUEST);
}

/* The host is copied first: making the table may run a finalizer that has another peer identified.
 */
static void push_address(lua_State *state, const char *host, unsigned port) {
  lua_pushstring(state, host);
  lua_createtable(state, 0, 2);
  lua_insert(state, -2);
  lua_setfield(state, -2, "host");
  lua_pushinteger(state, port);
  lua_setfield(state, -2, "port");
}

/* Sets a field of the table on the top, if there are bytes. */
static void set_bytes(lua_State *state, const char *name, struct span bytes) {
  if (!bytes.data) return;
  lua_pushlstring(state, bytes.data, bytes.length);
  lua_setfield(state, -2, name);
}

static void set_flag(lua_State *state, const char *name, bool flag) {
  lua_pushboolean(state, flag);
  lua_setfield(state, -2, name);
}

/* The header is a copy: making the table may run a finalizer that has another peer identified. The
 * bytes that it points to stay. */
static void push_proxy(lua_State *state, struct proxy_header header) {
  lua_newtable(state);
  set_bytes(state, "alpn", header.alpn);
  set_bytes(state, "authority", header.authority);
  set_bytes(state, "unique_id", header.unique_id);
  if (!header.ssl.is_used) return;
  lua_newtable(state);
  set_bytes(state, "version", header.ssl.version);
  set_bytes(state, "cipher", header.ssl.cipher);
  set_bytes(state, "common_name", header.ssl.common_name);
  set_bytes(state, "signature", header.ssl.signature);
  set_bytes(state, "key", header.ssl.key);
  set_flag(state, "has_certificate", header.ssl.has_certificate);
  set_flag(state, "verified", header.ssl.is_verified);
  lua_setfield(state, -2, "ssl");
}

/* Stores the value on the top in self[key] and leaves it on the stack: self is at index 1, key at
 * index 2. */
static int keep(lua_State *state) {
  lua_pushvalue(state, 2);
  lua_pushvalue(state, -2);
  lua_rawset(state, 1);
  return 1;
}

/* A field of the protocol comes before a method. */
static int inherit(lua_State *state) {
  lua_settop(state, 2);
  lua_pushvalue(state, 2);
  if (lua_gettable(state, lua_upvalueindex(PROTOCOL)) != LUA_TNIL) return 1;
  lua_pushvalue(state, 2);
  lua_rawget(state, lua_upvalueindex(METHODS));
  return 1;
}

/* Returns the upvalue that holds this name; PROTOCOL: none does. */
static int field_named(lua_State *state, int key) {
  if (lua_type(state, key) != LUA_TSTRING) return PROTOCOL;
  const char *name = lua_tostring(state, key);
  const char *const *addresses = lua_touserdata(state, lua_upvalueindex(ADDRESSES));
  int field = AT_END;
  while (field > PROTOCOL && name != addresses[field]) field--;
  return field;
}

/* During request_complete, self.incoming is stored, so that it is the same each time. While a
 * request is being answered it is stored, too: when make_response waits, the bytes go. */
static int give_input(lua_State *state, struct session *session) {
  struct span input = session_input(session);
  bool is_asked = (session_marks(session) & CLIENT_IS_ASKED) != 0;
  bool has_request = session_has_request(session);
  lua_pushlstring(state, input.data ? input.data : "", input.length);
  if (!is_asked && !has_request) return 1;
  keep(state);
  if (is_asked)
    session_count_looked(session, input.length);
  else
    client_mark(session, CLIENT_KEEPS_INPUT);
  return 1;
}

/* __index(self, key) */
static int index_client(lua_State *state) {
  int field = field_named(state, 2);
  struct session *session = field == PROTOCOL ? NULL : client_session(state, 1);
  if (!session) return inherit(state);
  if (field == INCOMING) return give_input(state, session);
  if (field == AT_END) {
    if (!session_at_end(session)) return inherit(state);
    lua_pushboolean(state, true);
    return 1;
  }
  if (field == TLS) {
    client_tls_push(state, session);
    return lua_isnil(state, -1) ? inherit(state) : keep(state);
  }
  struct session_identity who;
  session_identify(session, &who);
  if (field == PROXY && !who.proxy) return inherit(state);
  if (field == TRANSPORT) { /* It changes when TLS begins. */
    lua_pushstring(state, who.transport);
    return 1;
  }
  if (field == CLIENT_ADDRESS)
    push_address(state, who.host, who.port);
  else if (field == HOST)
    lua_pushstring(state, who.name);
  else if (field == PROXY)
    push_proxy(state, *who.proxy);
  else
    push_address(state, who.server_host, who.server_port);
  return keep(state);
}

void client_push_methods(lua_State *state) {
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, &methods_key) == LUA_TTABLE) return;
  lua_pop(state, 1);
  lua_newtable(state);
  lua_pushvalue(state, -1);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &methods_key);
}

void client_push_metatable(lua_State *state, int protocol) {
  lua_createtable(state, 0, 1);
  lua_pushvalue(state, protocol);
  lua_pushliteral(state, "transport");
  lua_pushliteral(state, "tls");
  lua_pushliteral(state, "client_address");
  lua_pushliteral(state, "host");
  lua_pushliteral(state, "server");
  lua_pushliteral(state, "proxy");
  lua_pushliteral(state, "incoming");
  lua_pushliteral(state, "eof");
  client_push_methods(state);
  int top = lua_gettop(state);
  const char **addresses = lua_newuserdatauv(state, METHODS * sizeof *addresses, 0);
  for (int field = TRANSPORT; field <= AT_END; field++)
    addresses[field] = lua_tostring(state, top - METHODS + field);
  lua_pushcclosure(state, index_client, UPVALUES);
  lua_setfield(state, -2, "__index");
}

static void push_sessions(lua_State *state) {
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, &sessions_key) == LUA_TTABLE) return;
  lua_pop(state, 1);
  lua_newtable(state);
  lua_pushvalue(state, -1);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &sessions_key);
}

/* Returns a reference of a value that is no table. */
static int take_reference(lua_State *state) {
  struct script *script = script_of_state(state);
  int spare = script->spare_client;
  script->spare_client = 0;
  if (spare != 0) return spare;
  lua_pushboolean(state, true);
  return luaL_ref(state, LUA_REGISTRYINDEX);
}

/* The core sets two fields in the `self` of each datagram. In that of a connection it may set none.
 * All that may raise comes first: after an error, the session has no `self`, and no table leads to
 * the session. */
static void make_client(lua_State *state, struct session *session, int metatable) {
  push_sessions(state);
  lua_createtable(state, 0, session_is_datagram(session) ? 2 : 0);
  lua_rawgeti(state, LUA_REGISTRYINDEX, metatable);
  lua_setmetatable(state, -2);
  if (session_client(session) == 0) session_set_client(session, take_reference(state));
  lua_pushvalue(state, -1);
  lua_pushlightuserdata(state, session);
  lua_rawset(state, -4);
  lua_pushvalue(state, -1);
  lua_rawseti(state, LUA_REGISTRYINDEX, session_client(session));
  lua_replace(state, -2);
}

void client_push(lua_State *state, struct session *session, int metatable) {
  int reference = session_client(session);
  if (reference != 0) {
    if (lua_rawgeti(state, LUA_REGISTRYINDEX, reference) == LUA_TTABLE) return;
    lua_pop(state, 1);
  }
  make_client(state, session, metatable);
}

void client_adopt(lua_State *state, const struct session *session, int from, int to) {
  if (session_client(session) == 0) return;
  int top = lua_gettop(state);
  lua_rawgeti(state, LUA_REGISTRYINDEX, session_client(session));
  lua_rawgeti(state, LUA_REGISTRYINDEX, from);
  if (lua_getmetatable(state, -2) && lua_rawequal(state, -1, -2)) {
    lua_rawgeti(state, LUA_REGISTRYINDEX, to);
    lua_setmetatable(state, top + 1);
  }
  lua_settop(state, top);
}

/* Cannot raise, because it only changes fields that exist. One reference is kept for the next
 * `self`: each datagram needs one. */
void client_forget(lua_State *state, struct session *session) {
  struct script *script = script_of_state(state);
  int reference = session_client(session);
  if (reference == 0) return;
  lua_rawgetp(state, LUA_REGISTRYINDEX, &sessions_key);
  lua_rawgeti(state, LUA_REGISTRYINDEX, reference);
  lua_pushnil(state);
  lua_rawset(state, -3);
  lua_pop(state, 1);
  session_set_client(session, 0);
  if (script->spare_client != 0) {
    luaL_unref(state, LUA_REGISTRYINDEX, reference);
    return;
  }
  lua_pushboolean(state, true);
  lua_rawseti(state, LUA_REGISTRYINDEX, reference);
  script->spare_client = reference;
}
