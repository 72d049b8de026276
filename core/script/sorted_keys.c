#include "script/sorted_keys.h"

#include <stdbool.h>
#include <string.h>

int sorted_keys_push(lua_State *state, int table, int most) {
  int count = 0, kept = 0;
  table = lua_absindex(state, table);
  lua_newtable(state);
  int list = lua_gettop(state);
  for (lua_pushnil(state); lua_next(state, table);) {
    lua_pop(state, 1);
    if (lua_type(state, -1) != LUA_TSTRING) continue;
    if (++count > most) continue;
    int place = ++kept;
    for (; place > 1; place--) {
      lua_rawgeti(state, list, place - 1);
      bool is_after = strcmp(lua_tostring(state, -1), lua_tostring(state, -2)) > 0;
      if (!is_after) lua_pop(state, 1);
      if (!is_after) break;
      lua_rawseti(state, list, place);
    }
    lua_pushvalue(state, -1);
    lua_rawseti(state, list, place);
  }
  return count;
}
