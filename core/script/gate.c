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

void gate_unmark(lua_State *coroutine, enum gate_mark mark) {
  *extra_of(coroutine) &= ~(uintptr_t)mark;
}

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

void gate_write_place(lua_State *state, int level, char *text) {
  lua_Debug place;
  *text = '\0';
  if (find_place(state, level, &place))
    snprintf(text, GATE_PLACE_MAX, "%s:%d: ", place.short_src, place.currentline);
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

/* Keeps the error of a call that the watchdog has just stopped: its place, the reason, and the
 * traceback. Allocates nothing in Lua. */
static void keep_stop(lua_State *state) {
  struct gate *gate = gate_of(state);
  char *text = gate->stopped;
  size_t room = sizeof gate->stopped;
  gate_write_place(state, 0, text);
  int length = (int)strlen(text);
  length += snprintf(text + length, room - (size_t)length,
                     "the call took longer than %g s (--call-timeout) and was stopped\n",
                     (double)gate->call_timeout / 1000);
  traceback_write(state, state, 0, text + length, room - (size_t)length);
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
  return watchdog_install(call_timeout, note_waiting, keep_stop);
}

/* gate_raise_no_memory() raises its address. */
static const char no_memory;

bool gate_is_no_memory(lua_State *failed) {
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
  int level; /* Where the traceback begins. */
};

/* Runs in a protected call, because making the text allocates and may call a __tostring. */
static int describe_error(lua_State *state) {
  const struct failure *failure = lua_touserdata(state, 1);
  struct gate *gate = failure->gate;
  lua_settop(state, 0);
  luaL_checkstack(state, 2 * TRACEBACK_SLOTS, NULL);
  if (!lua_checkstack(failure->failed, 1)) return 0;
  lua_pushvalue(failure->failed, -1);
  lua_xmove(failure->failed, state, 1);
  snprintf(gate->error, sizeof gate->error, "%s", error_text_push(state, 1));
  size_t length = strlen(gate->error), room = sizeof gate->error - length;
  if (room <= 1) return 0;
  gate->error[length++] = '\n';
  gate->error[length] = '\0';
  if (gate->trace_of && gate->trace_of == lua_topointer(state, 1))
    snprintf(gate->error + length, room - 1, "%s", gate->trace);
  else
    traceback_write(state, failure->failed, failure->level, gate->error + length, room - 1);
  return 0;
}

int gate_keep_trace(lua_State *state) {
  struct gate *gate = gate_of(state);
  if (!lua_checkstack(state, TRACEBACK_SLOTS)) return 1;
  traceback_write(state, state, 1, gate->trace, sizeof gate->trace);
  gate->trace_of = lua_topointer(state, 1);
  return 1;
}

void gate_keep_error(struct gate *gate, lua_State *failed, int level, bool was_stopped) {
  struct failure failure = {gate, failed, level};
  struct watch outer;
  const char *plain = "an error";
  if (was_stopped) {
    /* Another error may have ended the call before the hook could do so. */
    if (gate->stopped[0] == '\0') keep_stop(failed);
    snprintf(gate->error, sizeof gate->error, "%s", gate->stopped);
    gate->stopped[0] = '\0';
    return;
  }
  if (gate_is_no_memory(failed))
    plain = "not enough memory";
  else if (lua_type(failed, -1) == LUA_TSTRING)
    plain = lua_tostring(failed, -1);
  snprintf(gate->error, sizeof gate->error, "%s", plain);
  if (gate_is_no_memory(failed)) return;
  lua_pushcfunction(gate->main, describe_error);
  lua_pushlightuserdata(gate->main, &failure);
  watchdog_enter(&outer, gate->main, gate->call_timeout);
  if (lua_pcall(gate->main, 1, 0, 0) != LUA_OK) lua_pop(gate->main, 1);
  watchdog_leave(&outer);
}

void gate_close(struct gate *gate) {
  struct watch outer;
  watchdog_enter(&outer, NULL, gate->call_timeout);
  lua_close(gate->main);
  watchdog_leave(&outer);
}
