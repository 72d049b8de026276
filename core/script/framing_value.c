#include "script/framing_value.h"

/* The registry's key for the metatable, because looking it up by name could raise. */
static const char metatable_key;

void framing_value_open(lua_State *state) { lua_rawsetp(state, LUA_REGISTRYINDEX, &metatable_key); }

struct framing_value *framing_value_push(lua_State *state, int user_values) {
  struct framing_value *value = lua_newuserdatauv(state, sizeof *value, user_values);
  lua_rawgetp(state, LUA_REGISTRYINDEX, &metatable_key);
  lua_setmetatable(state, -2);
  return value;
}

const struct framing_value *framing_value_test(lua_State *state, int index) {
  if (lua_type(state, index) != LUA_TUSERDATA || lua_getmetatable(state, index) == 0) return NULL;
  lua_rawgetp(state, LUA_REGISTRYINDEX, &metatable_key);
  bool is_framing = lua_rawequal(state, -1, -2);
  lua_pop(state, 2);
  return is_framing ? lua_touserdata(state, index) : NULL;
}
