#include "script/framing_value.h"

/* The registry's key for the metatable, because looking it up by name could raise. The userdata
 * says with it, too, what it is: comparing metatables would cost more. */
static const char metatable_key;

void framing_value_open(lua_State *state) { lua_rawsetp(state, LUA_REGISTRYINDEX, &metatable_key); }

struct framing_value *framing_value_push(lua_State *state, int user_values) {
  struct framing_value *value = lua_newuserdatauv(state, sizeof *value, user_values);
  *value = (struct framing_value){.class = &metatable_key};
  lua_rawgetp(state, LUA_REGISTRYINDEX, &metatable_key);
  lua_setmetatable(state, -2);
  return value;
}

const struct framing_value *framing_value_test(lua_State *state, int index) {
  const struct framing_value *value = lua_touserdata(state, index);
  /* A light userdata has no length, and only a userdata of this length has a class. */
  if (!value || lua_rawlen(state, index) != sizeof *value || value->class != &metatable_key)
    return NULL;
  return value;
}
