#include "modules/http_incoming.h"

#include <stdbool.h>

#include "framing/http.h"
#include "modules/http_request.h"

enum { FIELDS = 6 };

/* A Set-Cookie has commas of its own, so that several of them cannot be one list (RFC 9110, 5.3):
 * they become a list of strings in the table on the top. */
static void set_cookies(lua_State *L, struct span lines) {
  struct http_field field;
  lua_Integer count = 0;
  while (http_next_field(&lines, &field)) {
    if (!http_is_word(field.name, "set-cookie")) continue;
    if (count == 0) {
      lua_newtable(L);
      lua_pushvalue(L, -1);
      lua_setfield(L, -3, "set-cookie");
    }
    lua_pushlstring(L, field.value.data, field.value.length);
    lua_rawseti(L, -2, ++count);
  }
  if (count > 0) lua_pop(L, 1);
}

void http_incoming_push(lua_State *L, const struct framing_answer *answer) {
  struct http_response response;
  http_read_response(answer, &response);
  lua_createtable(L, 0, FIELDS);
  lua_pushinteger(L, (lua_Integer)response.status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, response.reason.data, response.reason.length);
  lua_setfield(L, -2, "reason");
  lua_pushstring(L, response.minor > 0 ? "1.1" : "1.0");
  lua_setfield(L, -2, "version");
  http_headers_push(L, response.fields);
  set_cookies(L, response.fields);
  lua_setfield(L, -2, "headers");
  http_body_push(L, answer);
  lua_setfield(L, -2, "body");
  lua_pushboolean(L, answer->http.keeps_alive);
  lua_setfield(L, -2, "keep_alive");
}
