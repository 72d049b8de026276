#include "script/push.h"

#include <lauxlib.h>
#include <string.h>

#include "script/ban.h"
#include "script/client.h"

struct span push_encode(lua_State *state, struct script *script, int first, const char *name) {
  const struct generation *generation = script_running(script);
  int encode = generation ? generation->functions[FUNCTION_ENCODE] : LUA_NOREF;
  if (encode == LUA_NOREF) {
    luaL_checktype(state, first, LUA_TSTRING);
    luaL_argcheck(state, lua_gettop(state) == first, first + 1,
                  "a protocol without encode sends one string");
  } else {
    lua_rawgeti(state, LUA_REGISTRYINDEX, encode);
    lua_insert(state, first);
    lua_call(state, lua_gettop(state) - first, 1);
    const char *type = luaL_typename(state, first);
    if (lua_type(state, first) != LUA_TSTRING)
      luaL_error(state, "%s: encode returned %s (%s), not a string", name, type,
                 luaL_tolstring(state, first, NULL));
  }
  struct span bytes;
  bytes.data = lua_tolstring(state, first, &bytes.length);
  return bytes;
}

int push_give_result(lua_State *state, enum push_result result) {
  if (result == PUSH_NO_MEMORY) return gate_raise_no_memory(state);
  lua_pushboolean(state, result == PUSH_QUEUED);
  if (result == PUSH_QUEUED) return 1;
  lua_pushstring(state, result == PUSH_OVER        ? "closed"
                        : result == PUSH_TUNNEL    ? "tunnel"
                        : result == PUSH_FULL      ? "slow_reader"
                        : result == PUSH_TOO_LARGE ? "too_large"
                        : result == PUSH_AMPLIFIES ? "amplification"
                                                   : "overloaded");
  return 2;
}

/* self:send(data, ...) */
static int send_to_client(lua_State *state) {
  struct script *script = lua_touserdata(state, lua_upvalueindex(1));
  ban_check(state, "send");
  luaL_checktype(state, 1, LUA_TTABLE);
  struct span bytes = push_encode(state, script, 2, "send");
  struct session *session = client_session(state, 1);
  if (!session) return push_give_result(state, PUSH_OVER);
  return push_give_result(state,
                          session_push(session, bytes.data, bytes.length, script_now(script)));
}

/* self:close(reason) */
static int close_client(lua_State *state) {
  size_t length;
  ban_check(state, "close");
  luaL_checktype(state, 1, LUA_TTABLE);
  const char *why = luaL_optlstring(state, 2, NULL, &length);
  luaL_argcheck(state, !why || (length > 0 && length <= SESSION_WORD_MAX && strlen(why) == length),
                2, "must have from 1 to 64 bytes, and no zero byte");
  struct session *session = client_session(state, 1);
  return push_give_result(state, session ? session_close(session, why) : PUSH_OVER);
}

void push_install(lua_State *state, struct script *script) {
  client_push_methods(state);
  lua_pushlightuserdata(state, script);
  lua_pushcclosure(state, send_to_client, 1);
  lua_setfield(state, -2, "send");
  lua_pushcfunction(state, close_client);
  lua_setfield(state, -2, "close");
  lua_pop(state, 1);
}
