#include "modules/simulated_globals.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>

#include "base/log.h"
#include "script/replaced.h"

/* The clock is the second upvalue of each function that needs it. */
static void push_time(lua_State *state) {
  const struct script_clock *clock = lua_touserdata(state, lua_upvalueindex(2));
  lua_pushinteger(state, (lua_Integer)floor(clock->real));
}

/* os.time(table) */
static int tell_time(lua_State *state) {
  if (!lua_isnoneornil(state, 1)) return replaced_call(state);
  push_time(state);
  return 1;
}

/* os.clock() */
static int tell_clock(lua_State *state) {
  const struct script_clock *clock = lua_touserdata(state, lua_upvalueindex(2));
  lua_pushnumber(state, clock->monotonic);
  return 1;
}

/* os.date(format, time) */
static int tell_date(lua_State *state) {
  lua_settop(state, 2);
  if (lua_isnil(state, 1)) {
    lua_pushliteral(state, "%c");
    lua_replace(state, 1);
  }
  if (lua_isnil(state, 2)) {
    push_time(state);
    lua_replace(state, 2);
  }
  return replaced_call(state);
}

/* print(...), io.write(...) and io.stdout:write(...) */
static int log_printing(lua_State *state) {
  luaL_where(state, 1);
  log_event(LOG_WARN, "printed", "place", lua_tostring(state, -1));
  lua_pop(state, 1);
  return replaced_call(state);
}

/* file:write(...): the second upvalue is io.stdout. */
static int log_writing(lua_State *state) {
  if (lua_rawequal(state, 1, lua_upvalueindex(2))) return log_printing(state);
  return replaced_call(state);
}

/* Replaces the method `write` of all files. */
static void replace_write(lua_State *state) {
  luaL_getmetatable(state, LUA_FILEHANDLE);
  lua_getfield(state, -1, "__index");
  lua_getglobal(state, LUA_IOLIBNAME);
  lua_getfield(state, -1, "stdout");
  lua_remove(state, -2);
  replaced_install(state, "write", log_writing, 1);
  lua_pop(state, 2);
}

static void replace(lua_State *state, const char *library, const char *name, lua_CFunction function,
                    const struct script_clock *clock) {
  lua_getglobal(state, library);
  lua_pushlightuserdata(state, (void *)clock);
  replaced_install(state, name, function, 1);
  lua_pop(state, 1);
}

/* The key of Lua's own math.randomseed in the registry. */
static const char randomseed_key;

void simulated_globals_seed(lua_State *state, uint32_t seed) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &randomseed_key);
  lua_pushinteger(state, seed);
  lua_call(state, 1, 0);
}

/* math.randomseed(): without an argument Lua would take a random seed. The second upvalue is the
 * one that it gets. */
static int set_seed(lua_State *state) {
  if (lua_gettop(state) == 0) lua_pushvalue(state, lua_upvalueindex(2));
  return replaced_call(state);
}

static void install_seed(lua_State *state, uint32_t seed) {
  lua_getglobal(state, LUA_MATHLIBNAME);
  lua_getfield(state, -1, "randomseed");
  lua_rawsetp(state, LUA_REGISTRYINDEX, &randomseed_key);
  lua_pushinteger(state, seed);
  replaced_install(state, "randomseed", set_seed, 1);
  lua_pop(state, 1);
  simulated_globals_seed(state, seed);
}

void simulated_globals_install(lua_State *state, const struct script_clock *clock, uint32_t seed) {
  install_seed(state, seed);
  replace(state, LUA_OSLIBNAME, "clock", tell_clock, clock);
  replace(state, LUA_OSLIBNAME, "time", tell_time, clock);
  replace(state, LUA_OSLIBNAME, "date", tell_date, clock);
  replace(state, LUA_IOLIBNAME, "write", log_printing, clock);
  replace(state, LUA_GNAME, "print", log_printing, clock);
  replace_write(state);
}
