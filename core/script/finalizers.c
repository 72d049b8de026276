#include "script/finalizers.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "script/error_text.h"
#include "script/gate.h"
#include "script/replaced.h"
#include "script/watchdog.h"

/* ---- warnings ------------------------------------------------------------------------------ */

static void log_warning(struct gate *gate) {
  static const char of_finalizer[] = "error in __gc (";
  struct log_line line;
  size_t start = 0, length = gate->warning_length;
  bool is_finalizer = strncmp(gate->warning, of_finalizer, sizeof of_finalizer - 1) == 0;
  if (is_finalizer) { /* Lua puts the error into brackets. */
    start = sizeof of_finalizer - 1;
    if (gate->warning[length - 1] == ')') length--;
  }
  if (!gate_begin_notice(gate, &line, is_finalizer ? "finalizer_error" : "script")) return;
  log_bytes(&line, is_finalizer ? "detail" : "message", gate->warning + start, length - start);
  log_end(&line);
}

/* A lua_WarnFunction: collects the pieces of a warning. Control messages ("@on") are ignored. */
static void take_warning(void *context, const char *piece, int is_continued) {
  struct gate *gate = context;
  size_t room = sizeof gate->warning - 1 - gate->warning_length, length = strlen(piece);
  if (length > room) length = room;
  memcpy(gate->warning + gate->warning_length, piece, length);
  gate->warning_length += length;
  gate->warning[gate->warning_length] = '\0';
  if (is_continued) return;
  if (gate->warning_length > 0 && *gate->warning != '@') log_warning(gate);
  gate->warning_length = 0;
}

/* ---- running a finalizer ------------------------------------------------------------------- */

/* Lua runs no finalizer within another, so that one coroutine is enough. A new one is made after
 * the watchdog has stopped it. */
static lua_State *take_coroutine(lua_State *state, struct gate *gate) {
  if (gate->finalizer) return gate->finalizer;
  lua_State *coroutine = lua_newthread(state);
  gate_mark(coroutine, GATE_OWN);
  gate->finalizer_reference = luaL_ref(state, LUA_REGISTRYINDEX);
  gate->finalizer = coroutine;
  return coroutine;
}

static void drop_coroutine(lua_State *state, struct gate *gate) {
  gate->finalizer = NULL;
  luaL_unref(state, LUA_REGISTRYINDEX, gate->finalizer_reference);
}

enum { DETAIL_MAX = 512 };

static int make_text(lua_State *state) {
  error_text_push(state, 1);
  return 1;
}

/* Closes the variables of a coroutine that has failed, and writes the text of the error. Both may
 * run code of the script, under the watchdog. */
static void end_failed(lua_State *coroutine, int status, char text[DETAIL_MAX]) {
  lua_resetthread(coroutine);
  if (status == LUA_YIELD) {
    snprintf(text, DETAIL_MAX, "a finalizer cannot wait");
    return;
  }
  lua_pushcfunction(coroutine, make_text);
  lua_insert(coroutine, -2);
  bool is_told = lua_pcall(coroutine, 1, 1, 0) == LUA_OK;
  snprintf(text, DETAIL_MAX, "%s", is_told ? lua_tostring(coroutine, -1) : "an error");
}

bool finalizers_are_running(lua_State *state) {
  lua_Debug about;
  return lua_getstack(state, 0, &about) && lua_getinfo(state, "n", &about) && about.name &&
         strcmp(about.name, "__gc") == 0 && strcmp(about.namewhat, "metamethod") == 0;
}

/* __gc(object). The upvalue is the script's function. */
static int finalize(lua_State *state) {
  if (!finalizers_are_running(state)) return replaced_call(state);
  struct gate *gate = gate_of(state);
  lua_settop(state, 1);
  lua_State *coroutine = take_coroutine(state, gate);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_xmove(state, coroutine, 2);
  char detail[DETAIL_MAX];
  int results;
  int held = watchdog_drop_holds();
  lua_State *outer = watchdog_switch(coroutine);
  gate->finalizes = true;
  int status = lua_resume(coroutine, state, 1, &results);
  if (status != LUA_OK && !watchdog_is_stopping()) end_failed(coroutine, status, detail);
  bool is_sound = !watchdog_is_stopping();
  if (!is_sound) {
    gate->stopped[0] = '\0';
    snprintf(detail, sizeof detail, "it took longer than --call-timeout and was stopped");
  }
  gate->finalizes = false;
  watchdog_stop_again(); /* The call around it. */
  watchdog_switch_back(outer, coroutine);
  watchdog_restore_holds(held);
  lua_settop(coroutine, 0);
  if (!is_sound) drop_coroutine(state, gate);
  if (status == LUA_OK) return 0;
  lua_pushstring(state, detail);
  return lua_error(state);
}

/* ---- metatables ---------------------------------------------------------------------------- */

static bool is_callable(lua_State *state, int index) {
  if (lua_isfunction(state, index)) return lua_tocfunction(state, index) != finalize;
  if (luaL_getmetafield(state, index, "__call") == LUA_TNIL) return false;
  lua_pop(state, 1);
  return true;
}

/* Replaces the __gc of the metatable at index 2, if it has one, by finalize(). */
static void wrap_finalizer(lua_State *state) {
  if (!lua_istable(state, 2)) return;
  lua_pushvalue(state, lua_upvalueindex(2));
  if (lua_rawget(state, 2) != LUA_TNIL && is_callable(state, -1)) {
    lua_pushvalue(state, lua_upvalueindex(2));
    lua_insert(state, -2);
    lua_pushcclosure(state, finalize, 1);
    lua_rawset(state, 2);
    gate_of(state)->has_finalizers = true;
  } else
    lua_pop(state, 1);
}

/* setmetatable(table, metatable). Many requests call it. */
static int set_metatable(lua_State *state) {
  int type = lua_type(state, 2);
  luaL_checktype(state, 1, LUA_TTABLE);
  luaL_argexpected(state, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(state, 1, "__metatable") != LUA_TNIL)
    return luaL_error(state, "cannot change a protected metatable");
  wrap_finalizer(state);
  lua_settop(state, 2);
  lua_setmetatable(state, 1);
  return 1;
}

/* debug.setmetatable(value, metatable). The metatable of a userdata tells what its bytes are. */
static int debug_set_metatable(lua_State *state) {
  luaL_argcheck(state, lua_type(state, 1) != LUA_TUSERDATA, 1,
                "the metatable of a userdata cannot be changed");
  wrap_finalizer(state);
  return replaced_call(state);
}

static void replace(lua_State *state, const char *library, lua_CFunction function) {
  lua_getglobal(state, library);
  lua_pushliteral(state, "__gc");
  replaced_install(state, "setmetatable", function, 1);
  lua_pop(state, 1);
}

void finalizers_install(lua_State *state) {
  struct gate *gate = gate_of(state);
  replace(state, LUA_GNAME, set_metatable);
  replace(state, LUA_DBLIBNAME, debug_set_metatable);
  take_coroutine(state, gate);
  lua_setwarnf(state, take_warning, gate);
}
