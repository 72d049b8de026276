#include "script/client_tls.h"

#include <lauxlib.h>
#include <string.h>

#include "session/session.h"

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
  size_t length;
  if (!session_describe_tls(session, &all)) {
    lua_pushnil(state);
    return;
  }
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
