#include "script/error_text.h"

#include <lauxlib.h>
#include <string.h>

#include "script/module_names.h"
#include "script/sorted_keys.h"

enum {
  FIELDS_MAX = 8, /* The most fields of a table that are shown. */
  BYTES_MAX = 100 /* The most bytes of a string that are shown. */
};

/* Pushes and returns the name in "attempt to call a nil value (field 'lines')". NULL: the text is
 * another error, and nothing is pushed. */
static const char *push_nil_name(lua_State *state, const char *text) {
  static const char words[] = " a nil value (";
  const char *found = strstr(text, words);
  const char *start = found ? strchr(found + strlen(words), '\'') : NULL;
  const char *end = start ? strchr(start + 1, '\'') : NULL;
  return end ? lua_pushlstring(state, start + 1, (size_t)(end - start - 1)) : NULL;
}

static const char *push_explained(lua_State *state, int index) {
  lua_pushvalue(state, index);
  int text = lua_gettop(state);
  const char *name = push_nil_name(state, lua_tostring(state, text));
  if (name && module_names_push_hint(state, name)) {
    lua_pushvalue(state, text);
    lua_pushliteral(state, ": ");
    lua_rotate(state, -3, -1);
    lua_concat(state, 3);
    lua_replace(state, text);
  }
  lua_settop(state, text);
  return lua_tostring(state, text);
}

/* Pushes a field as "code = 5". Long strings are cut; values that are no strings, numbers or
 * booleans are shown by their type. */
static void push_field(lua_State *state, int table, const char *name) {
  lua_pushstring(state, name);
  lua_rawget(state, table);
  size_t length;
  int type = lua_type(state, -1);
  if (type == LUA_TSTRING) {
    const char *text = lua_tolstring(state, -1, &length);
    lua_pushfstring(state, "%s = \"", name);
    lua_pushlstring(state, text, length < BYTES_MAX ? length : BYTES_MAX);
    (void)luaL_gsub(state, lua_tostring(state, -1), "\n", "\\n");
    lua_remove(state, -2);
    lua_pushstring(state, length > BYTES_MAX ? "...\"" : "\"");
    lua_concat(state, 3);
  } else if (type == LUA_TNUMBER || type == LUA_TBOOLEAN)
    lua_pushfstring(state, "%s = %s", name, luaL_tolstring(state, -1, NULL));
  else
    lua_pushfstring(state, "%s = (%s)", name, lua_typename(state, type));
}

/* Pushes the fields whose names are strings; if there are none, the text that Lua gives. */
static const char *push_table(lua_State *state, int index) {
  int top = lua_gettop(state);
  int count = sorted_keys_push(state, index, FIELDS_MAX);
  if (count == 0) {
    lua_settop(state, top);
    return luaL_tolstring(state, index, NULL);
  }
  lua_pushliteral(state, "a table: { ");
  for (lua_Integer i = 1; lua_rawgeti(state, top + 1, i) == LUA_TSTRING; i++) {
    push_field(state, index, lua_tostring(state, -1));
    lua_replace(state, top + 3);
    lua_settop(state, top + 3);
    if (i > 1) {
      lua_pushliteral(state, ", ");
      lua_insert(state, top + 3);
    }
    lua_concat(state, lua_gettop(state) - top - 1);
  }
  lua_pop(state, 1);
  lua_pushstring(state, count > FIELDS_MAX ? ", ... }" : " }");
  lua_concat(state, 2);
  lua_replace(state, top + 1);
  lua_settop(state, top + 1);
  return lua_tostring(state, -1);
}

const char *error_text_push(lua_State *state, int index) {
  index = lua_absindex(state, index);
  if (lua_type(state, index) == LUA_TSTRING) return push_explained(state, index);
  if (lua_type(state, index) != LUA_TTABLE) return luaL_tolstring(state, index, NULL);
  if (luaL_getmetafield(state, index, "__tostring") != LUA_TNIL) {
    lua_pop(state, 1);
    return luaL_tolstring(state, index, NULL);
  }
  return push_table(state, index);
}
