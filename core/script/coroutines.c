#include "script/coroutines.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>

#include "script/gate.h"
#include "script/watchdog.h"

/* Limits for closing coroutines within each other: Lua 5.4 counts nested C calls for each coroutine
 * anew, so that it does not protect the C stack here. */
enum {
  CLOSING_MAX = 150,              /* The most nested coroutines. */
  CLOSING_STACK_MAX = 1024 * 1024 /* The most bytes of C stack. */
};

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

/* Returns why the coroutine may not run; NULL: it may. */
static const char *refusal(lua_State *coroutine) {
  if (gate_has_mark(coroutine, GATE_OWN)) return "the coroutine is the server's own";
  if (gate_has_mark(coroutine, GATE_STOPPED))
    return "the coroutine was stopped, because its call took longer than --call-timeout";
  return NULL;
}

/* Resumes with `arguments` values from the top of `state`, moves the results back and returns their
 * number. Returns -1 for an error, which is then on the top of `state`. */
static int resume(lua_State *state, lua_State *coroutine, int arguments) {
  const char *why = coroutine == state ? NULL : refusal(coroutine);
  if (why) {
    lua_pushfstring(state, "cannot resume: %s", why);
    return -1;
  }
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
    if (watchdog_is_stopping()) gate_mark(coroutine, GATE_STOPPED);
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

static bool is_too_deep(const struct gate *gate) {
  uintptr_t here = (uintptr_t)&gate;
  uintptr_t taken = here < gate->stack_base ? gate->stack_base - here : here - gate->stack_base;
  return gate->closing >= CLOSING_MAX || taken > CLOSING_STACK_MAX;
}

/* Closes the pending variables of a coroutine, which runs their __close functions in it. False: it
 * must not be closed, and an error is on the top of `state`. */
static bool reset(lua_State *state, lua_State *coroutine, int *status) {
  struct gate *gate = gate_of(state);
  const char *why = refusal(coroutine);
  if (!why && is_too_deep(gate)) why = "too many coroutines are closed one within the other";
  if (why) {
    lua_pushfstring(state, "cannot close: %s", why);
    return false;
  }
  gate->closing++;
  lua_State *outer = watchdog_switch(coroutine);
  *status = lua_resetthread(coroutine);
  watchdog_switch_back(outer, coroutine);
  gate->closing--;
  if (*status != LUA_OK && watchdog_is_stopping()) gate_mark(coroutine, GATE_STOPPED);
  return true;
}

static int call_wrapped(lua_State *state) {
  lua_State *coroutine = lua_tothread(state, lua_upvalueindex(1));
  int results = resume(state, coroutine, lua_gettop(state));
  if (results >= 0) return results;
  int status = lua_status(coroutine);
  /* A coroutine that was stopped is not closed: the error stays as it is. */
  if (status != LUA_OK && status != LUA_YIELD && !refusal(coroutine)) {
    if (reset(state, coroutine, &status)) lua_xmove(coroutine, state, 1);
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
  int status;
  if (!reset(state, coroutine, &status)) {
    lua_pushboolean(state, 0);
    lua_insert(state, -2);
    return 2;
  }
  lua_pushboolean(state, status == LUA_OK);
  if (status == LUA_OK) return 1;
  lua_xmove(coroutine, state, 1);
  return 2;
}

/* Gives yields across the server's own calls a clear error. All other errors are Lua's. */
static int coroutine_yield(lua_State *state) {
  if (!lua_isyieldable(state) && gate_has_mark(state, GATE_OWN))
    return luaL_error(state,
                      "a script cannot wait yet: coroutine.yield works only in a coroutine that "
                      "the script has made itself");
  return lua_yield(state, lua_gettop(state));
}

void coroutines_install(lua_State *state) {
  static const luaL_Reg functions[] = {{"resume", coroutine_resume},
                                       {"wrap", coroutine_wrap},
                                       {"close", coroutine_close},
                                       {"yield", coroutine_yield},
                                       {NULL, NULL}};
  lua_getglobal(state, LUA_COLIBNAME);
  luaL_setfuncs(state, functions, 0);
  lua_pop(state, 1);
}
