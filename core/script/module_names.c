#include "script/module_names.h"

#include <lauxlib.h>
#include <string.h>

#include "script/sorted_keys.h"

/* The registry's key of what was asked for last in vain: a list that is made once. */
static const char asked_key;
enum { ASKED_MODULE = 1, ASKED_CALLED, ASKED_NAME };

/* So many names of a module are listed at most. */
enum { LISTED_MAX = 24 };

/* __index: the upvalues are what the module is called, and the list. */
static int note_name(lua_State *state) {
  lua_settop(state, 2);
  lua_rawseti(state, lua_upvalueindex(2), ASKED_NAME);
  lua_rawseti(state, lua_upvalueindex(2), ASKED_MODULE);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_rawseti(state, lua_upvalueindex(2), ASKED_CALLED);
  lua_pushnil(state);
  return 1;
}

static void push_asked(lua_State *state) {
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, &asked_key) == LUA_TTABLE) return;
  lua_pop(state, 1);
  lua_createtable(state, ASKED_NAME, 0);
  lua_pushvalue(state, -1);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &asked_key);
}

void module_names_watch(lua_State *state, int index, const char *module) {
  index = lua_absindex(state, index);
  if (!lua_istable(state, index)) return;
  if (lua_getmetatable(state, index)) {
    lua_pop(state, 1);
    return;
  }
  lua_createtable(state, 0, 1);
  lua_pushstring(state, module);
  push_asked(state);
  lua_pushcclosure(state, note_name, 2);
  lua_setfield(state, -2, "__index");
  lua_setmetatable(state, index);
}

/* Pushes the names of the list at index, with commas. */
static void push_names(lua_State *state, int list) {
  luaL_Buffer all;
  luaL_buffinit(state, &all);
  for (lua_Integer i = 1; lua_rawgeti(state, list, i) == LUA_TSTRING; i++) {
    const char *name = lua_tostring(state, -1);
    lua_pop(state, 1);
    if (i > 1) luaL_addstring(&all, ", ");
    luaL_addstring(&all, name);
  }
  lua_pop(state, 1);
  luaL_pushresult(&all);
}

bool module_names_push_hint(lua_State *state, const char *name) {
  int top = lua_gettop(state);
  push_asked(state);
  bool is_asked = lua_rawgeti(state, top + 1, ASKED_NAME) == LUA_TSTRING &&
                  (!name || strcmp(lua_tostring(state, -1), name) == 0);
  bool has_module = lua_rawgeti(state, top + 1, ASKED_MODULE) == LUA_TTABLE;
  lua_rawgeti(state, top + 1, ASKED_CALLED);
  if (!is_asked || !has_module) {
    lua_settop(state, top);
    return false;
  }
  const char *asked = lua_tostring(state, top + 2), *called = lua_tostring(state, top + 4);
  int count = sorted_keys_push(state, top + 3, LISTED_MAX);
  const char *near = sorted_keys_nearest(state, asked);
  if (near)
    lua_pushfstring(state, "%s has no '%s'; did you mean '%s'? ", called, asked, near);
  else
    lua_pushfstring(state, "%s has no '%s'. ", called, asked);
  lua_pushliteral(state, "It has ");
  push_names(state, top + 5);
  lua_pushstring(state, count > LISTED_MAX ? " and others" : "");
  lua_concat(state, 4);
  lua_replace(state, top + 1);
  lua_settop(state, top + 1);
  return true;
}
