#include "script/coroutines.h"

#include <lauxlib.h>
#include <lualib.h>

#include "script/watchdog.h"

static lua_State *check_coroutine(lua_State *state) {
  lua_State *coroutine = lua_tothread(state, 1);
  luaL_argexpected(state, coroutine, 1, "thread");
  return coroutine;
}

static bool is_dead(lua_State *coroutine) {
  lua_Debug frame;
  if (lua_status(coroutine) == LUA_YIELD) return false;
  return lua_status(coroutine) != LUA_OK ||
         (lua_getstack(coroutine, 0, &frame) == 0 && lua_gettop(coroutine) == 0);
}

/* Moves `arguments` values over, runs, moves the results back and returns their number; -1 for an
 * error, whose object is then on the top of the caller's stack. */
static int resume(lua_State *state, lua_State *coroutine, int arguments) {
  if (is_dead(coroutine)) {
    lua_pushliteral(state, "cannot resume dead coroutine");
    return -1;
  }
  if (!lua_checkstack(coroutine, arguments)) {
    lua_pushliteral(state, "too many arguments to resume");
    return -1;
  }
  lua_xmove(state, coroutine, arguments);
  int results = 0;
  lua_State *outer = watchdog_switch(coroutine);
  int status = lua_resume(coroutine, state, arguments, &results);
  watchdog_switch_back(outer, coroutine);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(coroutine, state, 1);
    return -1;
  }
  if (!lua_checkstack(state, results + 1)) {
    lua_pop(coroutine, results);
    lua_pushliteral(state, "too many results to resume");
    return -1;
  }
  lua_xmove(coroutine, state, results);
  return results;
}

static int coroutine_resume(lua_State *state) {
  lua_State *coroutine = check_coroutine(state);
  int results = resume(state, coroutine, lua_gettop(state) - 1);
  lua_pushboolean(state, results >= 0);
  lua_insert(state, results >= 0 ? -(results + 1) : -2);
  return results >= 0 ? results + 1 : 2;
}

/* Closes the pending variables of a coroutine, which runs their __close functions in it. */
static int reset(lua_State *coroutine) {
  lua_State *outer = watchdog_switch(coroutine);
  int status = lua_resetthread(coroutine);
  watchdog_switch_back(outer, coroutine);
  return status;
}

static int call_wrapped(lua_State *state) {
  lua_State *coroutine = lua_tothread(state, lua_upvalueindex(1));
  int results = resume(state, coroutine, lua_gettop(state));
  if (results >= 0) return results;
  int status = lua_status(coroutine);
  /* What was stopped is not run again: Lua calls no hook on a coroutine that failed within one. */
  if (status != LUA_OK && status != LUA_YIELD && !watchdog_is_stopping()) {
    status = reset(coroutine);
    lua_xmove(coroutine, state, 1);
  }
  if (status != LUA_ERRMEM && lua_type(state, -1) == LUA_TSTRING) {
    luaL_where(state, 1);
    lua_insert(state, -2);
    lua_concat(state, 2);
  }
  return lua_error(state);
}

static int coroutine_wrap(lua_State *state) {
  luaL_checktype(state, 1, LUA_TFUNCTION);
  lua_State *coroutine = lua_newthread(state);
  lua_pushvalue(state, 1);
  lua_xmove(state, coroutine, 1);
  lua_pushcclosure(state, call_wrapped, 1);
  return 1;
}

static int coroutine_close(lua_State *state) {
  lua_State *coroutine = check_coroutine(state);
  lua_Debug frame;
  if (coroutine == state) return luaL_error(state, "cannot close a running coroutine");
  if (lua_status(coroutine) == LUA_OK && lua_getstack(coroutine, 0, &frame))
    return luaL_error(state, "cannot close a normal coroutine");
  if (reset(coroutine) == LUA_OK) {
    lua_pushboolean(state, 1);
    return 1;
  }
  lua_pushboolean(state, 0);
  lua_xmove(coroutine, state, 1);
  return 2;
}

void coroutines_install(lua_State *state) {
  static const luaL_Reg functions[] = {{"resume", coroutine_resume},
                                       {"wrap", coroutine_wrap},
                                       {"close", coroutine_close},
                                       {NULL, NULL}};
  lua_getglobal(state, LUA_COLIBNAME);
  luaL_setfuncs(state, functions, 0);
  lua_pop(state, 1);
}
