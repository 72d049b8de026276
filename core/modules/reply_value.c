#include "modules/reply_value.h"

#include <lauxlib.h>

#include "framing/resp_reply.h"

/* The key in the registry of the metatable of errors. */
static const char error_key;

/* __tostring(error) */
static int show_error(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushliteral(L, "err");
  lua_rawget(L, 1);
  luaL_tolstring(L, -1, NULL);
  return 1;
}

void reply_value_open(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, show_error);
  lua_setfield(L, -2, "__tostring");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
}

static void push_error(lua_State *L, struct span text) {
  lua_createtable(L, 0, 1);
  lua_pushlstring(L, text.data, text.length);
  lua_setfield(L, -2, "err");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  lua_setmetatable(L, -2);
}

/* The items of the array come later. */
static void push_array(lua_State *L, int64_t count) {
  lua_createtable(L, (int)count, 1);
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, "n");
}

static void push_value(lua_State *L, const struct resp_value *value) {
  switch (value->type) {
  case RESP_STRING: lua_pushlstring(L, value->text.data, value->text.length); break;
  case RESP_ERROR: push_error(L, value->text); break;
  case RESP_INTEGER: lua_pushinteger(L, (lua_Integer)value->number); break;
  case RESP_NULL: lua_pushnil(L); break;
  case RESP_ARRAY: push_array(L, value->number);
  }
}

/* The arrays that are not full stand on the stack one above the other. */
void reply_value_push(lua_State *L, const struct framing_answer *answer) {
  struct resp_reply_cursor cursor = {answer->payload.data,
                                     answer->payload.data + answer->payload.length};
  struct {
    lua_Integer filled, count;
  } arrays[RESP_DEPTH_MAX];
  size_t depth = 0;
  luaL_checkstack(L, RESP_DEPTH_MAX + LUA_MINSTACK, NULL);
  for (uint32_t i = 0; i < answer->arguments; i++) {
    struct resp_value value;
    resp_reply_next(&cursor, &value);
    push_value(L, &value);
    if (value.type == RESP_ARRAY && value.number > 0) {
      arrays[depth].filled = 0;
      arrays[depth++].count = (lua_Integer)value.number;
      continue;
    }
    /* An array that is full is itself an item of the one below. */
    while (depth > 0) {
      lua_rawseti(L, -2, ++arrays[depth - 1].filled);
      if (arrays[depth - 1].filled < arrays[depth - 1].count) break;
      depth--;
    }
  }
}
