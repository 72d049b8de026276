#include "script/verdict.h"

#include <lauxlib.h>
#include <string.h>

#include "script/client.h"
#include "script/generation.h"
#include "script/serve_stack.h"
#include "session/datagram.h"
#include "session/steps.h"

/* The function that has answered. */
static enum function asked(const struct session *session) {
  return session_is_datagram(session) ? FUNCTION_DATAGRAM : FUNCTION_REQUEST_COMPLETE;
}

/* What stands at DETAIL, of that type and not nil, must be a count from low to high: low is 1
 * behind true, else over the bytes. */
static size_t check_count(lua_State *state, const struct generation *generation,
                          const struct session *session, int type, size_t low, size_t high) {
  int is_whole = 0;
  lua_Integer count = 0;
  if (type == LUA_TNUMBER) count = lua_tointegerx(state, DETAIL, &is_whole);
  if (is_whole && count >= (lua_Integer)low && count <= (lua_Integer)high) return (size_t)count;
  const char *returned = luaL_tolstring(state, DETAIL, NULL);
  const char *place = generation_push_place(state, generation, asked(session));
  if (low == 1)
    luaL_error(state,
               "%s returned true, %s; the number must be a whole one from 1 to %I, the bytes that "
               "are there",
               place, returned, (LUAI_UACINT)high);
  luaL_error(state,
             "%s returned false, %s; the number must be a whole one over %I, the bytes that are "
             "there",
             place, returned, (LUAI_UACINT)(low - 1));
  return 0;
}

static int complain_of_answer(lua_State *state, const struct generation *generation,
                              const struct session *session) {
  const char *detail = luaL_tolstring(state, DETAIL, NULL);
  const char *answer = luaL_tolstring(state, ANSWER, NULL);
  return luaL_error(state, "%s returned %s, %s; it must return false, true, or nil and a reason",
                    generation_push_place(state, generation, asked(session)), answer, detail);
}

/* nil and a reason: a word that is one of the core's, with a text behind it or none; or a text. */
static void refuse(lua_State *state, const struct generation *generation, struct session *session) {
  static const char too_large[] = "too_large", malformed[] = "malformed";
  if (lua_type(state, DETAIL) != LUA_TSTRING) complain_of_answer(state, generation, session);
  const char *why = lua_tostring(state, DETAIL);
  bool is_too_large = strcmp(why, too_large) == 0;
  if (is_too_large) why = "the request is too large";
  if ((is_too_large || strcmp(why, malformed) == 0) && lua_type(state, VALUE) == LUA_TSTRING)
    why = lua_tostring(state, VALUE);
  session_set_verdict(session, is_too_large ? SESSION_TOO_LARGE : SESSION_MALFORMED, 0, why);
}

/* Nearly always there are two values. Else they are made to be three. */
bool verdict_take(lua_State *state, const struct generation *generation, struct session *session,
                  size_t have) {
  bool has_value = false;
  if (lua_gettop(state) != DETAIL) {
    lua_settop(state, VALUE);
    has_value = !lua_isnil(state, VALUE);
  }
  int answer_type = lua_type(state, ANSWER), detail_type = lua_type(state, DETAIL);
  if (answer_type == LUA_TNIL)
    refuse(state, generation, session);
  else if (answer_type != LUA_TBOOLEAN)
    complain_of_answer(state, generation, session);
  else if (lua_toboolean(state, ANSWER)) {
    if (detail_type != LUA_TNIL)
      have = check_count(state, generation, session, detail_type, 1, have);
    if (has_value) {
      client_set_request(state, SELF, VALUE);
      client_note_request(session);
    }
    return session_set_verdict(session, SESSION_COMPLETE, have, NULL);
  } else {
    size_t needed = 0;
    if (detail_type != LUA_TNIL)
      needed = check_count(state, generation, session, detail_type, have + 1, PTRDIFF_MAX);
    client_mark(session, CLIENT_WAS_ASKED);
    session_set_verdict(session, SESSION_PARTIAL, needed, NULL);
  }
  return false;
}
