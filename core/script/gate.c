#include "script/gate.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>

#include "script/watchdog.h"

void gate_init(struct gate *gate, lua_State *main, int64_t call_timeout) {
  *gate = (struct gate){.main = main, .call_timeout = call_timeout};
}

static int make_coroutine(lua_State *state) {
  lua_State **coroutine = lua_touserdata(state, 1);
  int *reference = lua_touserdata(state, 2);
  *coroutine = lua_newthread(state);
  *reference = luaL_ref(state, LUA_REGISTRYINDEX);
  return 0;
}

/* Pushing a C function without upvalues and a light userdata cannot fail: a state always has room
 * for LUA_MINSTACK values. */
static bool take_coroutine(struct gate *gate, lua_State **coroutine, int *reference) {
  if (gate->spare) {
    *coroutine = gate->spare;
    *reference = gate->spare_reference;
    gate->spare = NULL;
    return true;
  }
  lua_pushcfunction(gate->main, make_coroutine);
  lua_pushlightuserdata(gate->main, coroutine);
  lua_pushlightuserdata(gate->main, reference);
  if (lua_pcall(gate->main, 2, 0, 0) == LUA_OK) return true;
  lua_pop(gate->main, 1);
  return false;
}

/* luaL_unref() only changes fields that exist, so it cannot raise. */
static void give_coroutine(struct gate *gate, lua_State *coroutine, int reference, bool is_sound) {
  if (is_sound && !gate->spare) {
    lua_settop(coroutine, 0);
    gate->spare = coroutine;
    gate->spare_reference = reference;
  } else
    luaL_unref(gate->main, LUA_REGISTRYINDEX, reference);
}

/* Runs protected, since making the text takes memory and may call a __tostring. */
static int describe_error(lua_State *state) {
  struct gate *gate = lua_touserdata(state, 1);
  lua_State *failed = lua_touserdata(state, 2);
  lua_settop(state, 0);
  if (!lua_checkstack(failed, 1)) return 0;
  lua_pushvalue(failed, -1);
  lua_xmove(failed, state, 1);
  luaL_traceback(state, failed, luaL_tolstring(state, 1, NULL), 0);
  snprintf(gate->error, sizeof gate->error, "%s", lua_tostring(state, -1));
  return 0;
}

static void keep_error(struct gate *gate, lua_State *failed) {
  const char *plain = lua_type(failed, -1) == LUA_TSTRING ? lua_tostring(failed, -1) : "an error";
  snprintf(gate->error, sizeof gate->error, "%s", plain);
  lua_pushcfunction(gate->main, describe_error);
  lua_pushlightuserdata(gate->main, gate);
  lua_pushlightuserdata(gate->main, failed);
  struct watch outer;
  watchdog_enter(&outer, gate->main, gate->call_timeout);
  if (lua_pcall(gate->main, 2, 0, 0) != LUA_OK) lua_pop(gate->main, 1);
  watchdog_leave(&outer);
}

enum gate_result gate_run(struct gate *gate, lua_CFunction body, void *argument) {
  lua_State *coroutine;
  int reference;
  int top = lua_gettop(gate->main);
  if (!take_coroutine(gate, &coroutine, &reference)) {
    snprintf(gate->error, sizeof gate->error, "not enough memory");
    return GATE_NO_MEMORY;
  }
  lua_pushcfunction(coroutine, body);
  lua_pushlightuserdata(coroutine, argument);
  struct watch outer;
  int results;
  watchdog_enter(&outer, coroutine, gate->call_timeout);
  int status = lua_resume(coroutine, NULL, 1, &results);
  bool was_stopped = watchdog_leave(&outer);
  /* Nothing can resume a wait yet, and the body is a C function that calls without a
   * continuation, so that a yield comes back as an error of the script's. */
  assert(status != LUA_YIELD);
  if (status != LUA_OK) {
    keep_error(gate, coroutine);
    /* Its pending variables are closed, which runs code of the script's. */
    watchdog_enter(&outer, coroutine, gate->call_timeout);
    lua_resetthread(coroutine);
    watchdog_leave(&outer);
  }
  give_coroutine(gate, coroutine, reference, status == LUA_OK);
  assert(lua_gettop(gate->main) == top);
  (void)top;
  if (status == LUA_OK) return GATE_OK;
  if (was_stopped) return GATE_OVERRUN;
  return status == LUA_ERRMEM ? GATE_NO_MEMORY : GATE_ERROR;
}
