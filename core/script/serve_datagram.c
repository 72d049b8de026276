#include "script/serve_datagram.h"

#include <lauxlib.h>

#include "script/discard.h"
#include "script/memory.h"
#include "script/script_internal.h"
#include "script/serve_stack.h"
#include "script/verdict.h"
#include "session/datagram.h"
#include "session/steps.h"

/* ---- the request --------------------------------------------------------------------------- */

/* Sets a field of `self` to the value on the top, which stays there. */
static void set_field(lua_State *state, const char *name) {
  lua_pushstring(state, name);
  lua_pushvalue(state, -2);
  lua_rawset(state, SELF);
}

/* The framing's value is in the registry, and so is not collected. */
static bool decode(lua_State *state, const struct generation *generation, struct session *session) {
  const struct framing_value *value = generation->datagram;
  struct span input = session_input(session);
  struct framing_progress progress = {0};
  struct framing_answer answer;
  char why[FRAMING_WHY_MAX];
  enum session_verdict verdict = SESSION_PARTIAL;
  framing_decode(&value->framing, input.data, input.length, &progress, &answer);
  switch (answer.verdict) {
  case FRAMING_COMPLETE: verdict = SESSION_COMPLETE; break;
  case FRAMING_MALFORMED: verdict = SESSION_MALFORMED; break;
  case FRAMING_TOO_LARGE: verdict = SESSION_TOO_LARGE; break;
  default: break;
  }
  bool is_refused = verdict == SESSION_MALFORMED || verdict == SESSION_TOO_LARGE;
  if (!session_set_verdict(session, verdict, answer.length,
                           is_refused ? framing_explain(&value->framing, &answer, why, sizeof why)
                                      : NULL))
    return false;
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->functions[FUNCTION_DATAGRAM]);
  value->push_request(state, lua_gettop(state), &value->framing, &answer);
  set_field(state, "request");
  lua_settop(state, TOP);
  return true;
}

/* The function sees the bytes in both fields, and answers like request_complete. */
static bool ask(lua_State *state, const struct generation *generation, struct session *session) {
  struct gate *gate = &generation->script->gate;
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->functions[FUNCTION_DATAGRAM]);
  lua_pushvalue(state, SELF);
  gate->no_wait = "in datagram: wait in make_response";
  memory_use_server_reserve(gate->memory, false);
  lua_call(state, 1, LUA_MULTRET);
  memory_use_server_reserve(gate->memory, true);
  gate->no_wait = NULL;
  return verdict_take(state, generation, session, session_input(session).length);
}

bool serve_datagram_request(lua_State *state, const struct generation *generation,
                            struct session *session) {
  struct span input = session_input(session);
  if (generation->functions[FUNCTION_MAKE_RESPONSE] == LUA_NOREF)
    return session_set_verdict(session, SESSION_MALFORMED, 0,
                               "this version of the protocol takes no requests");
  lua_pushlstring(state, input.data, input.length);
  set_field(state, "request");
  set_field(state, "incoming");
  lua_settop(state, TOP);
  if (generation->datagram) return decode(state, generation, session);
  if (generation->functions[FUNCTION_DATAGRAM] == LUA_NOREF) return true;
  return ask(state, generation, session);
}

/* ---- the response -------------------------------------------------------------------------- */

static int complain(lua_State *state, const struct generation *generation, enum function function,
                    int value) {
  bool is_list = lua_istable(state, value);
  discard_response(state, value, 0);
  const char *place = generation_push_place(state, generation, function);
  if (is_list)
    return luaL_error(state, "%s returned a table that is no list of strings, as a datagram needs",
                      place);
  return luaL_error(state,
                    "%s returned a %s (%s), not a string, list of strings or nil, as a "
                    "datagram needs",
                    place, luaL_typename(state, value), luaL_tolstring(state, value, NULL));
}

/* What is not sent was logged, and is lost like any other datagram. */
static void send_top(lua_State *state, struct session *session) {
  size_t length;
  const char *bytes = lua_tolstring(state, -1, &length);
  if (session_send_datagram(session, bytes, length) == PUSH_NO_MEMORY) gate_raise_no_memory(state);
}

static bool is_list_of_strings(lua_State *state, int list, lua_Integer count) {
  bool are_strings = true;
  for (lua_Integer i = 1; i <= count && are_strings; i++) {
    are_strings = lua_rawgeti(state, list, i) == LUA_TSTRING;
    lua_pop(state, 1);
  }
  if (count > 0) return are_strings;
  lua_pushnil(state);
  if (lua_next(state, list) == 0) return true;
  lua_pop(state, 2);
  return false;
}

void serve_datagram_response(lua_State *state, const struct generation *generation,
                             struct session *session, enum function function) {
  int value = lua_gettop(state);
  if (lua_type(state, value) == LUA_TSTRING) {
    send_top(state, session);
    return;
  }
  if (lua_isnil(state, value)) return;
  lua_Integer count = lua_istable(state, value) ? (lua_Integer)lua_rawlen(state, value) : 0;
  if (!lua_istable(state, value) || !is_list_of_strings(state, value, count))
    complain(state, generation, function, value);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(state, value, i);
    send_top(state, session);
    lua_pop(state, 1);
  }
}
