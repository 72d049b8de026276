#include "modules/http_request.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "framing/http.h"
#include "script/body.h"
#include "script/client.h"
#include "script/task.h"
#include "session/body.h"

/* The keys of a request for its field lines and for the host in its target, until `headers` is made
 * of them; and the keys of the requests' metatables in the registry. */
static const char lines_key, host_key, metatable_key, streamed_key;

/* The user values of a framing: the values that all its requests share. */
enum { METATABLE = 1, TARGET_NAME };

/* The fields that are not stored in a request if they have the usual value. */
enum field { METHOD = 1, VERSION, HEADERS, BODY, KEEP_ALIVE, END };

static const char *const field_names[END] = {[METHOD] = "method",
                                             [VERSION] = "version",
                                             [HEADERS] = "headers",
                                             [BODY] = "body",
                                             [KEEP_ALIVE] = "keep_alive"};

/* Names of headers whose strings are kept in the state, so that they are not made anew. */
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

/* Sets the field of the table below the top to the value on the top. */
static void set_field(lua_State *L, enum field field) { lua_setfield(L, -2, field_names[field]); }

static void lower(char *copy, struct span name) {
  for (size_t i = 0; i < name.length; i++) {
    char byte = name.data[i];
    copy[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
  }
}

static void push_lower(lua_State *L, struct span name) {
  char few[32];
  luaL_Buffer buffer;
  if (name.length <= sizeof few) {
    lower(few, name);
    lua_pushlstring(L, few, name.length);
  } else {
    lower(luaL_buffinitsize(L, &buffer, name.length), name);
    luaL_pushresultsize(&buffer, name.length);
  }
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

/* Counts the lines, so that the table of headers gets its size at once. A script can have changed
 * the lines, so the count is limited. */
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

void http_headers_push(lua_State *L, struct span lines) {
  struct http_field field;
  lua_createtable(L, 0, count_lines(lines));
  while (http_next_field(&lines, &field)) add_field(L, &field);
}

/* Makes the headers of the request at index 1 from its lines, stores them in the request instead of
 * the lines, and pushes them. Pushes nil if the request has no lines. */
static void push_headers(lua_State *L) {
  struct span lines;
  if (lua_rawgetp(L, 1, &lines_key) != LUA_TSTRING) {
    lua_pushnil(L);
    return;
  }
  lines.data = lua_tolstring(L, -1, &lines.length);
  http_headers_push(L, lines);
  if (lua_rawgetp(L, 1, &host_key) != LUA_TNIL)
    lua_setfield(L, -2, "host");
  else
    lua_pop(L, 1);
  lua_pushstring(L, field_names[HEADERS]);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  lua_pushnil(L);
  lua_rawsetp(L, 1, &lines_key);
}

/* Pops the name of a field that is not stored in the request at index 1, and pushes its value. The
 * upvalue of all that call this is the table of the usual values, in which `headers` is false. */
static void push_usual(lua_State *L) {
  if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TBOOLEAN && !lua_toboolean(L, -1)) push_headers(L);
}

/* __index(request, key) */
static int index_request(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, 2);
  push_usual(L);
  return 1;
}

/* Makes the request at index 1 a plain table, with all its fields. */
static void complete(lua_State *L) {
  for (int field = 1; field < END; field++) {
    lua_pushstring(L, field_names[field]);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) == LUA_TNIL) {
      lua_pushvalue(L, 2);
      push_usual(L);
      lua_replace(L, 3);
      lua_settop(L, 3);
      lua_rawset(L, 1);
    }
    lua_settop(L, 1);
  }
  lua_pushnil(L);
  lua_setmetatable(L, 1);
}

/* __pairs(request) */
static int pairs_of_request(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  complete(L);
  lua_getglobal(L, "next");
  lua_pushvalue(L, 1);
  return 2;
}

/* Pushes the body of the request at index 1, whose framing streams it. A request without a body has
 * none before it is read. */
static void push_stream(lua_State *L) {
  lua_pushstring(L, field_names[BODY]);
  if (lua_rawget(L, 1) != LUA_TNIL) return;
  body_push(L, NULL);
  lua_pushstring(L, field_names[BODY]);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
}

/* The same as index_request() and pairs_of_request(), where the body is a stream. */
static int index_streamed(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  bool is_body = lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "body") == 0;
  if (!is_body) return index_request(L);
  push_stream(L);
  return 1;
}

static int pairs_of_streamed(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  push_stream(L);
  return pairs_of_request(L);
}

static void push_usual_values(lua_State *L) {
  lua_createtable(L, 0, END - 1);
  lua_pushliteral(L, "GET");
  set_field(L, METHOD);
  lua_pushliteral(L, "1.1");
  set_field(L, VERSION);
  lua_pushboolean(L, false);
  set_field(L, HEADERS);
  lua_pushliteral(L, "");
  set_field(L, BODY);
  lua_pushboolean(L, true);
  set_field(L, KEEP_ALIVE);
}

static void push_common_names(lua_State *L) {
  int count = (int)(sizeof common_names / sizeof *common_names);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_pushstring(L, common_names[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static void make_metatable(lua_State *L, const char *key, lua_CFunction index,
                           lua_CFunction pairs) {
  lua_createtable(L, 0, 3);
  push_usual_values(L);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, index, 1);
  lua_setfield(L, -3, "__index");
  lua_pushcclosure(L, pairs, 1);
  lua_setfield(L, -2, "__pairs");
  push_common_names(L);
  lua_setfield(L, -2, "common_names");
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void http_request_open(lua_State *L) {
  make_metatable(L, &metatable_key, index_request, pairs_of_request);
  make_metatable(L, &streamed_key, index_streamed, pairs_of_streamed);
}

void http_request_push_metatable(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

void http_body_push(lua_State *L, const struct framing_answer *answer) {
  luaL_Buffer buffer;
  struct span rest = answer->payload, data;
  if (!answer->http.is_chunked) {
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

static bool is_get(struct span method) {
  return method.length == 3 && memcmp(method.data, "GET", 3) == 0;
}

/* Sets the fields that differ from the usual values. */
static void set_uncommon(lua_State *L, const struct framing_answer *answer,
                         const struct http_request *request) {
  if (!is_get(request->method)) {
    lua_pushlstring(L, request->method.data, request->method.length);
    set_field(L, METHOD);
  }
  struct span host;
  if (request->target.data[0] != '/' && http_named_host(request, &host)) {
    lua_pushlstring(L, host.data, host.length);
    lua_rawsetp(L, -2, &host_key);
  }
  if (request->minor == 0) {
    lua_pushliteral(L, "1.0");
    set_field(L, VERSION);
  }
  if (answer->payload.length > 0) {
    http_body_push(L, answer);
    set_field(L, BODY);
  }
  if (!answer->http.keeps_alive) {
    lua_pushboolean(L, false);
    set_field(L, KEEP_ALIVE);
  }
}

void http_request_prepare(lua_State *L, int index, bool is_streamed) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, is_streamed ? &streamed_key : &metatable_key);
  lua_setiuservalue(L, index, METATABLE);
  lua_pushliteral(L, "target");
  lua_setiuservalue(L, index, TARGET_NAME);
}

/* Enough for nearly all requests: the target, the lines or the headers, and two more fields,
 * uncommon ones or the script's own. */
enum { FEW_FIELDS = 4 };

void http_request_push(lua_State *L, int index, const struct framing *framing,
                       const struct framing_answer *answer) {
  (void)framing;
  struct http_request request;
  http_read_request(answer, &request);
  lua_createtable(L, 0, FEW_FIELDS);
  set_uncommon(L, answer, &request);
  lua_getiuservalue(L, index, TARGET_NAME);
  lua_pushlstring(L, request.target.data, request.target.length);
  lua_rawset(L, -3);
  lua_pushlstring(L, request.fields.data, request.fields.length);
  lua_rawsetp(L, -2, &lines_key);
  lua_getiuservalue(L, index, METATABLE);
  lua_setmetatable(L, -2);
}

void http_request_push_streamed(lua_State *L, int index, const struct framing *framing,
                                const struct framing_answer *answer) {
  http_request_push(L, index, framing, answer);
  if (answer->verdict != FRAMING_HEAD) return;
  body_push(L, gate_of(L)->running->session);
  set_field(L, BODY);
}

int http_request_goes_on(lua_State *L) {
  const struct session *session = client_session(L, 1);
  lua_pushboolean(L, !session || session_goes_on(session));
  return 1;
}
