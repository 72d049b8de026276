#include "script/pull.h"

#include <lauxlib.h>

#include "script/gate.h"
#include "script/sent_file.h"

/* A function that returns "" so often in a row is an error. */
enum { EMPTY_PIECES_MAX = 1000 };

bool pull_push_function(lua_State *state, struct session *session, lua_Integer blocksize) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, session_stream(session));
  if (lua_isfunction(state, -1)) return true;
  sent_file_pull(state, session, (size_t)blocksize);
  return false;
}

void pull_take_piece(lua_State *state, struct session *session, unsigned *empty_pieces) {
  size_t length;
  if (lua_isnil(state, -1)) {
    *empty_pieces = 0;
    session_pulled(session, NULL, 0);
    return;
  }
  const char *type = luaL_typename(state, -1);
  if (lua_type(state, -1) != LUA_TSTRING)
    luaL_error(state, "a function of the response returned %s (%s), not a string or nil", type,
               luaL_tolstring(state, -1, NULL));
  const char *bytes = lua_tolstring(state, -1, &length);
  if (length > 0) {
    *empty_pieces = 0;
    if (session_pulled(session, bytes, length) == STATUS_NO_MEMORY) gate_raise_no_memory(state);
    return;
  }
  if (++*empty_pieces < EMPTY_PIECES_MAX) return;
  *empty_pieces = 0;
  luaL_error(state, "a function of the response returned \"\" %d times in a row",
             (int)EMPTY_PIECES_MAX);
}
