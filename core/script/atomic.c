#include "script/atomic.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "script/gate.h"
#include "script/watchdog.h"

/* `since`: when it began, by the coarse clock. What counts is how long everybody else waited. */
static void log_slow(lua_State *state, struct gate *gate, int64_t since) {
  struct log_line line;
  int64_t took = clock_coarse_milliseconds() - since;
  if (gate->call_timeout <= 0 || took <= gate->call_timeout) return;
  if (!gate_begin_notice(gate, &line, "atomic")) return;
  gate_log_place(state, &line, 1);
  log_integer(&line, "ms", took);
  log_text(&line, "detail",
           "parlance.atomic took longer than --call-timeout, and everybody else waited");
  log_end(&line);
}

/* atomic(f, ...): a stop raises only once f is over. Where f raises, where it was is kept for the
 * log. */
static int run_atomic(lua_State *state) {
  struct gate *gate = gate_of(state);
  int64_t since = clock_coarse_milliseconds();
  luaL_checkany(state, 1);
  watchdog_hold();
  memory_open_reserve(gate->memory);
  lua_pushcfunction(state, gate_keep_trace);
  lua_insert(state, 1);
  int status = lua_pcall(state, lua_gettop(state) - 2, LUA_MULTRET, 1);
  memory_close_reserve(gate->memory);
  watchdog_release();
  log_slow(state, gate, since);
  return status == LUA_OK ? lua_gettop(state) - 1 : lua_error(state);
}

/* memory(): the bytes in use, and the limit if there is one. */
static int tell_memory(lua_State *state) {
  const struct memory *memory = gate_of(state)->memory;
  lua_pushinteger(state, (lua_Integer)memory->used);
  if (memory->nominal == SIZE_MAX) return 1;
  lua_pushinteger(state, (lua_Integer)memory->nominal);
  return 2;
}

void atomic_install(lua_State *state) {
  static const luaL_Reg functions[] = {
      {"atomic", run_atomic}, {"memory", tell_memory}, {NULL, NULL}};
  luaL_setfuncs(state, functions, 0);
}
