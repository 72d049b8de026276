#include "script/pull.h"

#include <lauxlib.h>

#include "script/gate.h"
#include "script/sent_file.h"
#include "script/watchdog.h"

/* A function that returns "" so often in a row is an error. */
enum { EMPTY_PIECES_MAX = 1000 };

/* Calls a function that returns "" again, for up to `patience` ms, and then in a later turn. */
static void pull_function(lua_State *state, struct session *session, int64_t patience) {
  int function = lua_gettop(state);
  uint32_t started = watchdog_restarted_at();
  for (int tries = 0; tries < EMPTY_PIECES_MAX; tries++) {
    size_t length;
    lua_pushvalue(state, function);
    watchdog_restart();
    lua_call(state, 0, 1);
    if (lua_isnil(state, -1)) {
      session_pulled(session, NULL, 0);
      return;
    }
    const char *type = luaL_typename(state, -1);
    if (lua_type(state, -1) != LUA_TSTRING)
      luaL_error(state, "a function of the response returned %s (%s), not a string or nil", type,
                 luaL_tolstring(state, -1, NULL));
    const char *bytes = lua_tolstring(state, -1, &length);
    if (length > 0) {
      if (session_pulled(session, bytes, length) == STATUS_NO_MEMORY) gate_raise_no_memory(state);
      return;
    }
    lua_pop(state, 1);
    if (watchdog_restarted_at() - started >= patience) return;
  }
  luaL_error(state, "a function of the response returned \"\" %d times in a row",
             (int)EMPTY_PIECES_MAX);
}

void pull_stream(lua_State *state, struct session *session, lua_Integer blocksize,
                 int64_t patience) {
  int top = lua_gettop(state);
  lua_rawgeti(state, LUA_REGISTRYINDEX, session_stream(session));
  if (lua_isfunction(state, -1))
    pull_function(state, session, patience);
  else
    sent_file_pull(state, session, (size_t)blocksize);
  lua_settop(state, top);
}
