/* What a proxy has told of a simulated client. */
#include "framing/proxy.h"
#include "simulator/arguments.h"
#include "simulator/simulated.h"

/* The user value of a connection that holds the header. */
enum { HEADER = 4 };

/* Returns a text of the table at index, whose string the table on the top keeps; NULL: it has none.
 */
static struct span keep_text(lua_State *L, int table, const char *name) {
  struct span text = {NULL, 0};
  if (lua_getfield(L, table, name) == LUA_TSTRING) {
    text.data = lua_tolstring(L, -1, &text.length);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  } else
    lua_pop(L, 1);
  return text;
}

static void set_ssl(lua_State *L, int table, struct proxy_ssl *ssl) {
  ssl->is_used = true;
  ssl->has_certificate = arguments_flag(L, table, "has_certificate");
  ssl->is_verified = arguments_flag(L, table, "verified");
  ssl->version = keep_text(L, table, "version");
  ssl->cipher = keep_text(L, table, "cipher");
  ssl->common_name = keep_text(L, table, "common_name");
  ssl->signature = keep_text(L, table, "signature");
  ssl->key = keep_text(L, table, "key");
}

void simulated_set_proxy(lua_State *L, struct simulated_connection *connection, int index,
                         int table) {
  luaL_checktype(L, table, LUA_TTABLE);
  int top = lua_gettop(L);
  struct proxy_header *header = lua_newuserdatauv(L, sizeof *header, 1);
  *header = (struct proxy_header){.verdict = PROXY_COMPLETE};
  bool has_ssl = lua_getfield(L, table, "ssl") == LUA_TTABLE;
  lua_newtable(L); /* It keeps the strings. */
  header->alpn = keep_text(L, table, "alpn");
  header->authority = keep_text(L, table, "authority");
  header->unique_id = keep_text(L, table, "unique_id");
  if (has_ssl) set_ssl(L, top + 2, &header->ssl);
  lua_setiuservalue(L, top + 1, 1);
  lua_settop(L, top + 1);
  lua_setiuservalue(L, index, HEADER);
  connection->who.proxy = header;
}
