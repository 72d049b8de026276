#include "modules/module_parlance.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void log_value(lua_State *state, struct log_line *line, const char *key, int index) {
  size_t length;
  if (lua_isinteger(state, index))
    log_integer(line, key, lua_tointeger(state, index));
  else if (lua_type(state, index) == LUA_TNUMBER)
    log_number(line, key, lua_tonumber(state, index));
  else {
    const char *text = luaL_tolstring(state, index, &length);
    log_bytes(line, key, text, length);
    lua_pop(state, 1);
  }
}

/* parlance.log(level, message, fields) */
static int parlance_log(lua_State *state) {
  size_t length;
  enum log_level level;
  struct log_line line;
  const char *name = luaL_checkstring(state, 1);
  lua_settop(state, 3);
  if (!log_parse_level(name, &level))
    return luaL_argerror(state, 1, "the level must be debug, info, warn or error");
  const char *message = luaL_tolstring(state, 2, &length);
  if (!lua_isnoneornil(state, 3)) luaL_checktype(state, 3, LUA_TTABLE);
  if (!log_begin(&line, level, "script")) return 0;
  log_text(&line, "service", lua_tostring(state, lua_upvalueindex(1)));
  bool is_block = log_is_multiline() && strlen(message) == length && strchr(message, '\n');
  if (!is_block) log_bytes(&line, "message", message, length);
  if (lua_istable(state, 3)) {
    lua_pushnil(state);
    while (lua_next(state, 3) != 0) {
      lua_pushvalue(state, -2); /* Converting the key in place would confuse lua_next(). */
      log_value(state, &line, luaL_tolstring(state, -1, NULL), -3);
      lua_pop(state, 3);
    }
  }
  if (is_block) log_block(&line, "message", message);
  log_end(&line);
  return 0;
}

/* parlance.now() */
static int parlance_now(lua_State *state) {
  const struct script_clock *clock = lua_touserdata(state, lua_upvalueindex(1));
  lua_pushnumber(state, clock ? clock->monotonic : clock_seconds());
  return 1;
}

/* parlance.time() */
static int parlance_time(lua_State *state) {
  const struct script_clock *clock = lua_touserdata(state, lua_upvalueindex(1));
  lua_pushnumber(state, clock ? clock->real : (double)clock_real_milliseconds() / 1000);
  return 1;
}

void module_parlance_push(lua_State *state, const char *service, const struct script_clock *clock) {
  lua_createtable(state, 0, 4);
  lua_pushstring(state, service);
  lua_pushcclosure(state, parlance_log, 1);
  lua_setfield(state, -2, "log");
  lua_pushlightuserdata(state, (void *)clock);
  lua_pushcclosure(state, parlance_now, 1);
  lua_setfield(state, -2, "now");
  lua_pushlightuserdata(state, (void *)clock);
  lua_pushcclosure(state, parlance_time, 1);
  lua_setfield(state, -2, "time");
  lua_newtable(state);
  lua_setfield(state, -2, "shared");
  lua_pushboolean(state, clock != NULL);
  lua_setfield(state, -2, "simulated");
  lua_pushliteral(state, PARLANCE_VERSION);
  lua_setfield(state, -2, "version");
}
