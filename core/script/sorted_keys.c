#include "script/sorted_keys.h"

#include <stdbool.h>
#include <string.h>

#include "base/spelling.h"

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

const char *sorted_keys_nearest(lua_State *state, const char *name) {
  const char *nearest = NULL;
  unsigned least_away = SPELLING_FAR;
  for (lua_Integer i = 1; lua_rawgeti(state, -1, i) == LUA_TSTRING; i++, lua_pop(state, 1)) {
    unsigned away = spelling_compare(name, lua_tostring(state, -1));
    if (away >= least_away) continue;
    least_away = away;
    nearest = lua_tostring(state, -1);
  }
  lua_pop(state, 1);
  return nearest;
}
