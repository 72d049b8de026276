#include "script/stream_lines.h"

#include <lauxlib.h>
#include <string.h>

#include "script/stream_value.h"

/* nil, why and a code were returned. The end, or a cancel, ends the loop. Everything else is an
 * error, as in Lua's own lines(). */
static int end_lines(lua_State *state) {
  const char *code = lua_tostring(state, -1);
  if (strcmp(code, "closed") != 0 && strcmp(code, "cancelled") != 0)
    return luaL_error(state, "stream:lines: %s", lua_tostring(state, -2));
  lua_pushnil(state);
  return 1;
}

static int read_line_again(lua_State *state, int status, lua_KContext base) {
  (void)status;
  return lua_gettop(state) - (int)base == 3 ? end_lines(state) : 1;
}

/* The upvalues are the stream and what is read. */
static int read_line(lua_State *state) {
  lua_settop(state, 0);
  lua_pushcfunction(state, stream_value_read);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_pushvalue(state, lua_upvalueindex(2));
  lua_callk(state, 2, LUA_MULTRET, 0, read_line_again);
  return read_line_again(state, LUA_OK, 0);
}

/* stream:lines(what) */
int stream_lines(lua_State *state) {
  struct reading reading;
  stream_value_check(state, 1);
  if (lua_gettop(state) > 2) luaL_argerror(state, 3, "one thing is read at a time");
  lua_settop(state, 2);
  reading_take(state, 2, &reading);
  lua_pushcclosure(state, read_line, 2);
  return 1;
}
