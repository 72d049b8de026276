#include "script/gate.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "script/error_text.h"
#include "script/traceback.h"
#include "script/watchdog.h"

/* The extra space of a coroutine holds the address of the gate, with the marks in its lowest bits.
 */
static uintptr_t *extra_of(lua_State *state) { return (uintptr_t *)lua_getextraspace(state); }

struct gate *gate_of(lua_State *state) {
  return (struct gate *)(*extra_of(state) & ~(uintptr_t)GATE_MARKS);
}

void gate_mark(lua_State *coroutine, enum gate_mark mark) { *extra_of(coroutine) |= mark; }

bool gate_has_mark(lua_State *coroutine, enum gate_mark mark) {
  return (*extra_of(coroutine) & mark) != 0;
}

bool gate_begin_notice(struct gate *gate, struct log_line *line, const char *event) {
  if (!log_begin_limited(line, LOG_WARN, event, &gate->notices, clock_coarse_milliseconds()))
    return false;
  log_text(line, "service", gate->service);
  return true;
}

/* Finds the first Lua function at this level or above. False: there is none. */
static bool find_place(lua_State *state, int level, lua_Debug *place) {
  for (; lua_getstack(state, level, place); level++) {
    lua_getinfo(state, "Sln", place);
    if (place->currentline > 0) return true;
  }
  return false;
}

void gate_log_place(lua_State *state, struct log_line *line, int level) {
  lua_Debug place;
  char text[LUA_IDSIZE + 128];
  if (!find_place(state, level, &place)) return;
  if (place.name)
    snprintf(text, sizeof text, "%s:%d: %s", place.short_src, place.currentline, place.name);
  else if (place.linedefined > 0)
    snprintf(text, sizeof text, "%s:%d: function <%s:%d>", place.short_src, place.currentline,
             place.short_src, place.linedefined);
  else
    snprintf(text, sizeof text, "%s:%d: main chunk", place.short_src, place.currentline);
  log_text(line, "place", text);
}

/* A watchdog_note: logs a call that has blocked. */
static void note_waiting(lua_State *state, int64_t waited) {
  struct log_line line;
  lua_Debug callee;
  struct gate *gate = gate_of(state);
  if (!gate_begin_notice(gate, &line, "blocked")) return;
  gate_log_place(state, &line, 0);
  if (lua_getstack(state, 0, &callee) && lua_getinfo(state, "Sn", &callee) && *callee.what == 'C' &&
      callee.name)
    log_text(&line, "call", callee.name);
  log_integer(&line, "ms", waited);
  log_text(&line, "detail",
           "longer than --call-timeout without using the processor: the call waits for something, "
           "and everybody else waits with it");
  log_end(&line);
}

/* A new coroutine gets a copy of the main coroutine's extra space. */
bool gate_init(struct gate *gate, lua_State *main, struct memory *memory, const char *service,
               int64_t call_timeout) {
  *gate = (struct gate){
      .main = main, .memory = memory, .service = service, .call_timeout = call_timeout};
  *extra_of(main) = (uintptr_t)gate;
  return watchdog_install(call_timeout, note_waiting);
}

static int make_coroutine(lua_State *state) {
  lua_State **coroutine = lua_touserdata(state, 1);
  int *reference = lua_touserdata(state, 2);
  *coroutine = lua_newthread(state);
  gate_mark(*coroutine, GATE_OWN);
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
  bool was_lent = gate->memory->uses_server_reserve;
  memory_use_server_reserve(gate->memory, true);
  bool is_made = lua_pcall(gate->main, 2, 0, 0) == LUA_OK;
  memory_use_server_reserve(gate->memory, was_lent);
  if (!is_made) lua_pop(gate->main, 1);
  return is_made;
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

/* gate_raise_no_memory() raises its address. */
static const char no_memory;

static bool is_no_memory(lua_State *failed) {
  return lua_touserdata(failed, -1) == (const void *)&no_memory;
}

int gate_raise_no_memory(lua_State *state) {
  lua_pushlightuserdata(state, (void *)&no_memory);
  return lua_error(state);
}

/* An entry that failed, and the coroutine that it failed on. */
struct failure {
  struct gate *gate;
  lua_State *failed;
  bool was_stopped;
};

/* Writes the error of a call that the watchdog has stopped: its place and the reason. */
static void write_stopped(struct gate *gate, lua_State *failed) {
  lua_Debug place;
  int length = 0;
  if (find_place(failed, 0, &place))
    length =
        snprintf(gate->error, sizeof gate->error, "%s:%d: ", place.short_src, place.currentline);
  snprintf(gate->error + length, sizeof gate->error - (size_t)length,
           "the call took longer than %g s (--call-timeout) and was stopped",
           (double)gate->call_timeout / 1000);
}

/* Runs in a protected call, because making the text allocates and may call a __tostring. */
static int describe_error(lua_State *state) {
  const struct failure *failure = lua_touserdata(state, 1);
  struct gate *gate = failure->gate;
  lua_settop(state, 0);
  luaL_checkstack(state, 2 * TRACEBACK_SLOTS, NULL);
  if (!lua_checkstack(failure->failed, 1)) return 0;
  lua_pushvalue(failure->failed, -1);
  lua_xmove(failure->failed, state, 1);
  if (failure->was_stopped)
    write_stopped(gate, failure->failed);
  else
    snprintf(gate->error, sizeof gate->error, "%s", error_text_push(state, 1));
  size_t length = strlen(gate->error), room = sizeof gate->error - length;
  if (room <= 1) return 0;
  gate->error[length++] = '\n';
  gate->error[length] = '\0';
  if (gate->trace_of && gate->trace_of == lua_topointer(state, 1))
    snprintf(gate->error + length, room - 1, "%s", gate->trace);
  else
    traceback_write(state, failure->failed, 0, gate->error + length, room - 1);
  return 0;
}

int gate_keep_trace(lua_State *state) {
  struct gate *gate = gate_of(state);
  if (!lua_checkstack(state, TRACEBACK_SLOTS)) return 1;
  traceback_write(state, state, 1, gate->trace, sizeof gate->trace);
  gate->trace_of = lua_topointer(state, 1);
  return 1;
}

static void keep_error(struct gate *gate, lua_State *failed, bool was_stopped) {
  struct failure failure = {gate, failed, was_stopped};
  struct watch outer;
  const char *plain = "an error";
  if (was_stopped)
    plain = "the call took too long and was stopped";
  else if (is_no_memory(failed))
    plain = "not enough memory";
  else if (lua_type(failed, -1) == LUA_TSTRING)
    plain = lua_tostring(failed, -1);
  snprintf(gate->error, sizeof gate->error, "%s", plain);
  if (is_no_memory(failed)) return;
  lua_pushcfunction(gate->main, describe_error);
  lua_pushlightuserdata(gate->main, &failure);
  watchdog_enter(&outer, gate->main, gate->call_timeout);
  if (lua_pcall(gate->main, 1, 0, 0) != LUA_OK) lua_pop(gate->main, 1);
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
  bool was_lent = gate->memory->uses_server_reserve;
  watchdog_enter(&outer, coroutine, gate->call_timeout);
  if (!outer.running) gate->stack_base = (uintptr_t)&outer;
  int status = lua_resume(coroutine, NULL, 1, &results);
  bool was_stopped = watchdog_leave(&outer);
  memory_use_server_reserve(gate->memory, was_lent);
  /* The body is a C function that calls without a continuation: a yield raises an error. */
  assert(status != LUA_YIELD);
  if (status != LUA_OK) {
    if (is_no_memory(coroutine)) status = LUA_ERRMEM;
    memory_use_server_reserve(gate->memory, true);
    keep_error(gate, coroutine, was_stopped);
    memory_use_server_reserve(gate->memory, was_lent);
  }
  gate->trace_of = NULL;
  /* Closing the pending variables runs code of the script. This is not done after a stop, because
   * Lua calls no hook on a coroutine that has failed within a hook: it could not be stopped. */
  if (status != LUA_OK && !was_stopped) {
    watchdog_enter(&outer, coroutine, gate->call_timeout);
    lua_resetthread(coroutine);
    watchdog_leave(&outer);
    lua_settop(coroutine, 0); /* If a script holds the coroutine, its status is "dead". */
  }
  give_coroutine(gate, coroutine, reference, status == LUA_OK);
  assert(lua_gettop(gate->main) == top);
  (void)top;
  if (status == LUA_OK) return GATE_OK;
  if (was_stopped) return GATE_OVERRUN;
  return status == LUA_ERRMEM ? GATE_NO_MEMORY : GATE_ERROR;
}

void gate_close(struct gate *gate) {
  struct watch outer;
  watchdog_enter(&outer, NULL, gate->call_timeout);
  lua_close(gate->main);
  watchdog_leave(&outer);
}
