#include "modules/resp_request.h"

#include <lauxlib.h>
#include <stdbool.h>

#include "framing/resp.h"

static void push_argument(lua_State *L, const struct resp_argument *argument) {
  if (argument->length == argument->raw.length) {
    lua_pushlstring(L, argument->raw.data, argument->raw.length);
    return;
  }
  luaL_Buffer buffer;
  resp_unquote(argument, luaL_buffinitsize(L, &buffer, argument->length));
  luaL_pushresultsize(&buffer, argument->length);
}

/* With the option `reuse`, there is one list for each number of arguments, so that no list has
 * items of an older request. Only small requests use them, since they stay alive between requests.
 */
enum { REUSED_ARGUMENTS_MAX = 8, REUSED_BYTES_MAX = 4096 };

/* The keys of these lists in the registry. */
static const char list_keys[REUSED_ARGUMENTS_MAX + 1];

/* Pushes a list that has room for the arguments. */
static void push_list(lua_State *L, const struct framing *framing,
                      const struct framing_answer *answer) {
  uint32_t count = answer->arguments;
  bool is_reused = framing->option.resp.reuse && count <= REUSED_ARGUMENTS_MAX &&
                   answer->payload.length <= REUSED_BYTES_MAX;
  if (is_reused) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_keys[count]) == LUA_TTABLE) return;
    lua_pop(L, 1);
  }
  lua_createtable(L, (int)count, 0);
  if (!is_reused) return;
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &list_keys[count]);
}

void resp_request_push(lua_State *L, const struct framing *framing,
                       const struct framing_answer *answer) {
  struct resp_cursor cursor;
  struct resp_argument argument;
  push_list(L, framing, answer);
  resp_open(&cursor, answer->payload);
  for (lua_Integer i = 1; resp_next(&cursor, &argument); i++) {
    push_argument(L, &argument);
    lua_rawseti(L, -2, i);
  }
}
