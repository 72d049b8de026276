#include "script/debug_library.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdbool.h>

#include "script/replaced.h"

/* The first argument may be a coroutine. Returns the place of the argument behind it. */
static int skip_thread(lua_State *state) { return lua_isthread(state, 1) ? 2 : 1; }

static bool is_in_lua(lua_State *state, int index) {
  return lua_isfunction(state, index) && !lua_iscfunction(state, index);
}

/* Whether the argument at index is the level of a C function; false if there is no such level. */
static bool is_level_in_c(lua_State *state, int index) {
  lua_State *of = index == 2 ? lua_tothread(state, 1) : state;
  lua_Debug frame;
  int is_integer;
  lua_Integer level = lua_tointegerx(state, index, &is_integer);
  if (!is_integer || level < 0 || level > INT_MAX) return false;
  if (!lua_getstack(of, (int)level, &frame) || !lua_getinfo(of, "S", &frame)) return false;
  return *frame.what == 'C';
}

/* The function that is replaced stands one level above the running one. */
static void shift_level(lua_State *state, int index) {
  if (index == 2 && lua_tothread(state, 1) != state) return;
  if (lua_type(state, index) != LUA_TNUMBER || !lua_isinteger(state, index)) return;
  lua_Integer level = lua_tointeger(state, index);
  if (level < 1 || level >= LUA_MAXINTEGER) return;
  lua_pushinteger(state, level + 1);
  lua_replace(state, index);
}

/* debug.getlocal([thread,] level or function, local), debug.setlocal([thread,] level, local, value)
 */
static int use_local(lua_State *state) {
  int index = skip_thread(state);
  if (is_level_in_c(state, index)) return 0;
  shift_level(state, index);
  return replaced_call(state);
}

/* debug.getupvalue(function, index). A C function may have the one that it replaces. */
static int get_upvalue(lua_State *state) {
  luaL_checktype(state, 1, LUA_TFUNCTION);
  bool is_open = is_in_lua(state, 1);
  int count = replaced_call(state);
  return is_open || !lua_isfunction(state, -1) ? count : 0;
}

/* debug.setupvalue(function, index, value) */
static int set_upvalue(lua_State *state) {
  luaL_checktype(state, 1, LUA_TFUNCTION);
  return is_in_lua(state, 1) ? replaced_call(state) : 0;
}

/* debug.getinfo([thread,] level or function [, what]) */
static int get_info(lua_State *state) {
  shift_level(state, skip_thread(state));
  int count = replaced_call(state);
  if (!lua_istable(state, -1)) return count;
  if (lua_getfield(state, -1, "func") == LUA_TFUNCTION && !is_in_lua(state, -1)) {
    lua_pushnil(state);
    lua_setfield(state, -3, "func");
  }
  lua_pop(state, 1);
  return count;
}

/* Lua calls no hook while it runs another, so that a script's own hook could not be stopped. The
 * objects of the core refer to each other with user values. debug.debug() reads from the terminal.
 */
static void remove_functions(lua_State *state) {
  static const char *const names[] = {"debug", "getregistry", "sethook", "setuservalue"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_pushnil(state);
    lua_setfield(state, -2, names[i]);
  }
}

void debug_library_install(lua_State *state) {
  lua_getglobal(state, LUA_DBLIBNAME);
  remove_functions(state);
  replaced_install(state, "getinfo", get_info, 0);
  replaced_install(state, "getlocal", use_local, 0);
  replaced_install(state, "setlocal", use_local, 0);
  replaced_install(state, "getupvalue", get_upvalue, 0);
  replaced_install(state, "setupvalue", set_upvalue, 0);
  lua_pop(state, 1);
}
