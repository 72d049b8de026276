#include "script/coroutines.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>

#include "script/gate.h"
#include "script/task.h"
#include "script/watchdog.h"
#include "script/within.h"

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
  if (gate_has_mark(coroutine, GATE_WAITS)) return "the coroutine waits";
  if (gate_has_mark(coroutine, GATE_STOPPED))
    return "the coroutine was stopped, because its call took longer than --call-timeout";
  return NULL;
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
  const char *no_wait = gate->no_wait;
  if (!no_wait) gate->no_wait = "in a variable that coroutine.close closes";
  gate->closing++;
  lua_State *outer = watchdog_switch(coroutine);
  *status = lua_resetthread(coroutine);
  watchdog_switch_back(outer, coroutine);
  gate->closing--;
  gate->no_wait = no_wait;
  if (*status != LUA_OK && watchdog_is_stopping()) gate_mark(coroutine, GATE_STOPPED);
  return true;
}

/* What resume() returns instead of a number of results. */
enum { FAILED = -1, WAITS = -2, PASSED_ON = -3 };

/* Moves the results of a coroutine to `state`. Returns their number, or FAILED. */
static int take_results(lua_State *state, lua_State *coroutine, int results) {
  if (!lua_checkstack(state, results + 1)) {
    lua_pop(coroutine, results);
    lua_pushliteral(state, "too many results to resume");
    return FAILED;
  }
  lua_xmove(coroutine, state, results);
  return results;
}

/* A task that was cancelled leaves no variables of its coroutines unclosed. */
static void close_cancelled(lua_State *state, lua_State *coroutine) {
  int status;
  if (watchdog_is_stopping() || !reset(state, coroutine, &status)) return;
  if (status != LUA_OK) lua_xmove(coroutine, state, 1);
  if (status != LUA_OK) lua_replace(state, -2);
}

/* A function of a C module has yielded below within(), whose function must not be left. */
static int end_yielded(lua_State *state, lua_State *coroutine) {
  int status;
  task_end_withins(gate_of(state)->running, coroutine);
  if (!reset(state, coroutine, &status))
    gate_mark(coroutine, GATE_STOPPED);
  else if (status != LUA_OK)
    lua_xmove(coroutine, state, 1);
  else
    lua_pushliteral(state, "a C module yields within parlance.within");
  return FAILED;
}

/* Runs the coroutine with `arguments` values from its top. Returns the number of results, which
 * are then on the top of `state`; FAILED or PASSED_ON, with the error there; or WAITS: a wait is in
 * the coroutine, and `state` must be suspended, too. */
static int run(lua_State *state, lua_State *coroutine, int arguments) {
  struct gate *gate = gate_of(state);
  struct resuming resuming = {state, gate->chain};
  int results = 0;
  bool was_unwinding = task_is_unwinding(gate);
  gate->chain = &resuming;
  lua_State *outer = watchdog_switch(coroutine);
  int status = lua_resume(coroutine, state, arguments, &results);
  watchdog_switch_back(outer, coroutine);
  gate->chain = resuming.outer;
  if (status == LUA_YIELD && gate->running && gate->running->state == TASK_WAITING) {
    gate_mark(coroutine, GATE_WAITS);
    return WAITS;
  }
  if (status == LUA_YIELD && within_is_in(gate->running, coroutine))
    return end_yielded(state, coroutine);
  if (status == LUA_OK || status == LUA_YIELD) return take_results(state, coroutine, results);
  if (watchdog_is_stopping()) gate_mark(coroutine, GATE_STOPPED);
  lua_xmove(coroutine, state, 1);
  if (!task_is_passed_on(state, -1, was_unwinding)) return FAILED;
  close_cancelled(state, coroutine);
  return PASSED_ON;
}

/* Resumes with `arguments` values from the top of `state`: see run(). */
static int resume(lua_State *state, lua_State *coroutine, int arguments) {
  const char *why = coroutine == state ? NULL : refusal(coroutine);
  if (why) {
    lua_pushfstring(state, "cannot resume: %s", why);
    return FAILED;
  }
  if (is_dead(coroutine)) {
    lua_pushliteral(state, "cannot resume dead coroutine");
    return FAILED;
  }
  if (!lua_checkstack(coroutine, arguments)) {
    lua_pushliteral(state, "too many arguments to resume");
    return FAILED;
  }
  lua_xmove(state, coroutine, arguments);
  return run(state, coroutine, arguments);
}

/* The results of a wait are on the top, above `base`: passes them down to the coroutine. */
static int go_on(lua_State *state, lua_State *coroutine, int base) {
  int results = lua_gettop(state) - base;
  gate_unmark(coroutine, GATE_WAITS);
  if (!lua_checkstack(coroutine, results)) luaL_error(state, "too many results of a wait");
  lua_xmove(state, coroutine, results);
  return run(state, coroutine, results);
}

static int finish_resume(lua_State *state, int results);

static int resume_again(lua_State *state, int status, lua_KContext base) {
  (void)status;
  return finish_resume(state, go_on(state, lua_tothread(state, 1), (int)base));
}

/* What coroutine.resume returns. */
static int finish_resume(lua_State *state, int results) {
  if (results == WAITS) return lua_yieldk(state, 0, lua_gettop(state), resume_again);
  if (results == PASSED_ON) return lua_error(state);
  lua_pushboolean(state, results >= 0);
  lua_insert(state, results >= 0 ? -(results + 1) : -2);
  return results >= 0 ? results + 1 : 2;
}

static int coroutine_resume(lua_State *state) {
  lua_State *coroutine = check_coroutine(state);
  return finish_resume(state, resume(state, coroutine, lua_gettop(state) - 1));
}

static int finish_wrapped(lua_State *state, lua_State *coroutine, int results);

static int call_wrapped_again(lua_State *state, int status, lua_KContext base) {
  lua_State *coroutine = lua_tothread(state, lua_upvalueindex(1));
  (void)status;
  return finish_wrapped(state, coroutine, go_on(state, coroutine, (int)base));
}

/* What a function of coroutine.wrap returns, or raises. */
static int finish_wrapped(lua_State *state, lua_State *coroutine, int results) {
  if (results == WAITS) return lua_yieldk(state, 0, lua_gettop(state), call_wrapped_again);
  if (results >= 0) return results;
  if (results == PASSED_ON) return lua_error(state);
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

static int call_wrapped(lua_State *state) {
  lua_State *coroutine = lua_tothread(state, lua_upvalueindex(1));
  return finish_wrapped(state, coroutine, resume(state, coroutine, lua_gettop(state)));
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
  bool was_unwinding = task_is_unwinding(gate_of(state));
  int status;
  if (!reset(state, coroutine, &status)) {
    lua_pushboolean(state, 0);
    lua_insert(state, -2);
    return 2;
  }
  lua_pushboolean(state, status == LUA_OK);
  if (status == LUA_OK) return 1;
  lua_xmove(coroutine, state, 1);
  return task_is_passed_on(state, -1, was_unwinding) ? lua_error(state) : 2;
}

/* In the coroutine of a task nobody would resume. */
static int coroutine_yield(lua_State *state) {
  if (gate_has_mark(state, GATE_OWN))
    return luaL_error(state,
                      "coroutine.yield works only in a coroutine that the script has made itself");
  if (within_is_in(gate_of(state)->running, state))
    return luaL_error(state, "coroutine.yield cannot leave parlance.within");
  return lua_yield(state, lua_gettop(state));
}

static int coroutine_isyieldable(lua_State *state) {
  lua_State *coroutine = lua_isthread(state, 1) ? lua_tothread(state, 1) : state;
  lua_pushboolean(state, lua_isyieldable(coroutine) && !gate_has_mark(coroutine, GATE_OWN));
  return 1;
}

static int coroutine_status(lua_State *state) {
  lua_State *coroutine = check_coroutine(state);
  lua_Debug frame;
  const char *status = "suspended";
  if (coroutine == state)
    status = "running";
  else if (gate_has_mark(coroutine, GATE_WAITS))
    status = "normal"; /* Until the wait is over. */
  else if (is_dead(coroutine))
    status = "dead";
  else if (gate_has_mark(coroutine, GATE_OWN) ||
           (lua_status(coroutine) == LUA_OK && lua_getstack(coroutine, 0, &frame)))
    status = "normal";
  lua_pushstring(state, status);
  return 1;
}

/* ---- pcall, xpcall ------------------------------------------------------------------------- */

/* In the context of pcall: how many values stand below the results, and this if the task was
 * unwinding when pcall was called. */
enum { SKIPPED = 0xff, WAS_UNWINDING = 0x100 };

static lua_KContext context_of(lua_State *state, int skipped) {
  return skipped | (task_is_unwinding(gate_of(state)) ? WAS_UNWINDING : 0);
}

/* After an error, its value is on the top. */
static int finish_pcall(lua_State *state, int status, lua_KContext context) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(state) - (int)(context & SKIPPED);
  if (task_is_passed_on(state, -1, (context & WAS_UNWINDING) != 0)) return lua_error(state);
  lua_pushboolean(state, false);
  lua_insert(state, -2);
  return 2;
}

/* An error passes every pcall in its way, and each of them walks the stack: so there is a limit.
 * Lua itself has one for calls of C only, which does not hold for calls that may wait. */
enum { DEPTH_MAX = 16 * 1024 };

static void check_depth(lua_State *state) {
  lua_Debug frame;
  if (lua_getstack(state, DEPTH_MAX, &frame))
    luaL_error(state, "stack overflow (too many nested calls)");
}

static int protected_call(lua_State *state) {
  luaL_checkany(state, 1);
  check_depth(state);
  lua_pushboolean(state, true);
  lua_insert(state, 1);
  lua_KContext context = context_of(state, 0);
  int status = lua_pcallk(state, lua_gettop(state) - 2, LUA_MULTRET, 0, context, finish_pcall);
  return finish_pcall(state, status, context);
}

/* The message handler of xpcall. The upvalue is the script's. */
static int handle_error(lua_State *state) {
  if (task_is_passed_on(state, 1, true)) return 1;
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_call(state, lua_gettop(state) - 1, LUA_MULTRET);
  return lua_gettop(state);
}

/* xpcall(f, handler, ...) */
static int protected_call_with(lua_State *state) {
  int arguments = lua_gettop(state) - 2;
  luaL_checktype(state, 2, LUA_TFUNCTION);
  check_depth(state);
  lua_pushvalue(state, 2);
  lua_pushcclosure(state, handle_error, 1);
  lua_replace(state, 2);
  lua_pushboolean(state, true);
  lua_pushvalue(state, 1);
  lua_rotate(state, 3, 2);
  lua_KContext context = context_of(state, 2);
  int status = lua_pcallk(state, arguments, LUA_MULTRET, 2, context, finish_pcall);
  return finish_pcall(state, status, context);
}

void coroutines_install(lua_State *state) {
  static const luaL_Reg functions[] = {{"resume", coroutine_resume},
                                       {"wrap", coroutine_wrap},
                                       {"close", coroutine_close},
                                       {"yield", coroutine_yield},
                                       {"status", coroutine_status},
                                       {"isyieldable", coroutine_isyieldable},
                                       {NULL, NULL}};
  static const luaL_Reg globals[] = {
      {"pcall", protected_call}, {"xpcall", protected_call_with}, {NULL, NULL}};
  gate_of(state)->handler = handle_error;
  lua_getglobal(state, LUA_COLIBNAME);
  luaL_setfuncs(state, functions, 0);
  lua_pushglobaltable(state);
  luaL_setfuncs(state, globals, 0);
  lua_pop(state, 2);
}
