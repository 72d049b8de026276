#include "script/http_request.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "framing/http.h"

/* Where a request keeps its field lines until `headers` is made of them, and where the registry has
 * the metatable that does it. */
static const char fields_key, metatable_key;

/* The user values of a framing: what every request of it is made with. */
enum { METATABLE = 1, METHOD, TARGET, KEEP_ALIVE, VERSION, BODY };

static const char default_version[] = "1.1", default_body[] = "";

/* Strings that are kept, so that they need not be made for every request. */
static const char *const common_names[] = {
    "accept",          "accept-encoding",
    "accept-language", "authorization",
    "cache-control",   "connection",
    "content-length",  "content-type",
    "cookie",          "host",
    "if-match",        "if-modified-since",
    "if-none-match",   "if-range",
    "origin",          "pragma",
    "range",           "referer",
    "sec-fetch-dest",  "sec-fetch-mode",
    "sec-fetch-site",  "transfer-encoding",
    "upgrade",         "user-agent",
};

static void push_lower(lua_State *L, struct span name) {
  luaL_Buffer buffer;
  char *lower = luaL_buffinitsize(L, &buffer, name.length);
  for (size_t i = 0; i < name.length; i++) {
    char byte = name.data[i];
    lower[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
  }
  luaL_pushresultsize(&buffer, name.length);
}

/* Adds a field to the table on the top. Fields of one name are one list (RFC 9110, 5.3); cookies
 * have a separator of their own (RFC 6265, 5.4). */
static void add_field(lua_State *L, const struct http_field *field) {
  push_lower(L, field->name);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushlstring(L, field->value.data, field->value.length);
  } else {
    lua_pushstring(L, http_is_word(field->name, "cookie") ? "; " : ", ");
    lua_pushlstring(L, field->value.data, field->value.length);
    lua_concat(L, 3);
  }
  lua_rawset(L, -3);
}

/* Sets the field of the request at index 1 if it is nil. */
static void set_default(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, name);
  if (lua_rawget(L, 1) == LUA_TNIL) {
    lua_pushstring(L, name);
    lua_pushstring(L, value);
    lua_rawset(L, 1);
  }
  lua_pop(L, 1);
}

/* So that the table of headers need not grow; a script may have had the lines in its hands, so that
 * there may be any number of them. */
static int count_lines(struct span lines) {
  enum { ENOUGH = 128 };
  int count = 0;
  const char *end = lines.data + lines.length;
  for (const char *at = lines.data; count < ENOUGH; at++, count++) {
    at = memchr(at, '\n', (size_t)(end - at));
    if (at == NULL) break;
  }
  return count;
}

/* Makes the `headers` of the request at index 1, unless it has them. */
static void make_headers(lua_State *L) {
  struct http_field field;
  struct span fields;
  if (lua_rawgetp(L, 1, &fields_key) == LUA_TSTRING) {
    fields.data = lua_tolstring(L, -1, &fields.length);
    lua_createtable(L, 0, count_lines(fields));
    while (http_next_field(&fields, &field)) add_field(L, &field);
    lua_pushliteral(L, "headers");
    lua_insert(L, -2);
    lua_rawset(L, 1);
    lua_pushnil(L);
    lua_rawsetp(L, 1, &fields_key);
  }
  lua_pop(L, 1);
}

/* Makes the request at index 1 a plain table, with all its fields. */
static void complete(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  set_default(L, "version", default_version);
  set_default(L, "body", default_body);
  make_headers(L);
  lua_pushnil(L);
  lua_setmetatable(L, 1);
}

/* __index(request, key) */
static int index_request(lua_State *L) {
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(key, "body") == 0) {
    lua_pushstring(L, default_body);
  } else if (strcmp(key, "version") == 0) {
    lua_pushstring(L, default_version);
  } else if (strcmp(key, "headers") == 0) {
    luaL_checktype(L, 1, LUA_TTABLE);
    make_headers(L);
    lua_pushliteral(L, "headers");
    lua_rawget(L, 1);
  } else {
    return 0;
  }
  return 1;
}

/* __pairs(request) */
static int pairs_of_request(lua_State *L) {
  complete(L);
  lua_getglobal(L, "next");
  lua_pushvalue(L, 1);
  return 2;
}

void http_request_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"__index", index_request}, {"__pairs", pairs_of_request}, {NULL, NULL}};
  luaL_newlib(L, methods);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof common_names / sizeof *common_names; i++) {
    lua_pushstring(L, common_names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "common_names");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

static void push_body(lua_State *L, const struct framing_result *result) {
  luaL_Buffer buffer;
  struct span rest = result->payload, data;
  if ((result->note & HTTP_CHUNKED) == 0) {
    lua_pushlstring(L, rest.data, rest.length);
    return;
  }
  char *body = luaL_buffinitsize(L, &buffer, rest.length);
  size_t length = 0;
  while (http_next_chunk(&rest, &data)) {
    memcpy(body + length, data.data, data.length);
    length += data.length;
  }
  luaL_pushresultsize(&buffer, length);
}

static void keep_string(lua_State *L, int framing, int place, const char *string) {
  lua_pushstring(L, string);
  lua_setiuservalue(L, framing, place);
}

void http_request_prepare(lua_State *L, int framing) {
  framing = lua_absindex(L, framing);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  lua_setiuservalue(L, framing, METATABLE);
  keep_string(L, framing, METHOD, "method");
  keep_string(L, framing, TARGET, "target");
  keep_string(L, framing, KEEP_ALIVE, "keep_alive");
  keep_string(L, framing, VERSION, "version");
  keep_string(L, framing, BODY, "body");
}

void http_request_push(lua_State *L, int framing, const struct framing_result *result) {
  struct http_request request;
  http_read_request(result, &request);
  bool is_common = result->payload.length == 0 && request.minor > 0;
  lua_createtable(L, 0, is_common ? 4 : 8);
  lua_getiuservalue(L, framing, METHOD);
  lua_pushlstring(L, request.method.data, request.method.length);
  lua_rawset(L, -3);
  lua_getiuservalue(L, framing, TARGET);
  lua_pushlstring(L, request.target.data, request.target.length);
  lua_rawset(L, -3);
  lua_getiuservalue(L, framing, KEEP_ALIVE);
  lua_pushboolean(L, (result->note & HTTP_KEEP_ALIVE) != 0);
  lua_rawset(L, -3);
  if (!is_common) {
    lua_getiuservalue(L, framing, VERSION);
    lua_pushstring(L, request.minor > 0 ? default_version : "1.0");
    lua_rawset(L, -3);
    lua_getiuservalue(L, framing, BODY);
    push_body(L, result);
    lua_rawset(L, -3);
  }
  lua_pushlstring(L, request.fields.data, request.fields.length);
  lua_rawsetp(L, -2, &fields_key);
  lua_getiuservalue(L, framing, METATABLE);
  lua_setmetatable(L, -2);
}
