#include "modules/framing_call.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "modules/module_framing.h"
#include "script/client.h"

/* What a framing has said of the request at hand when it was called on a `self`. */
struct progress {
  uint64_t requests; /* that had been answered by then: it is of no use for another request */
  struct framing_result result;
};

/* The registry's key of a weak table from every such `self` to a table from framings to these. */
static const char progress_key;

static void push_progress_of_all(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &progress_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &progress_key);
}

/* Leaves the stack as it is. NULL: there is none that is of any use. */
static const struct progress *find_progress(lua_State *L, const struct session *session,
                                            size_t length) {
  const struct progress *progress = NULL;
  int top = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &progress_key) == LUA_TTABLE) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
      lua_pushvalue(L, 1);
      lua_rawget(L, -2);
      progress = lua_touserdata(L, -1);
    }
  }
  lua_settop(L, top);
  bool is_of_use = progress && progress->requests == session_requests(session) &&
                   progress->result.seen <= length;
  return is_of_use ? progress : NULL;
}

static void keep_progress(lua_State *L, const struct session *session,
                          const struct framing_result *result) {
  int top = lua_gettop(L);
  push_progress_of_all(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  struct progress *progress = lua_touserdata(L, -1);
  if (!progress) {
    lua_pushvalue(L, 1);
    progress = lua_newuserdatauv(L, sizeof *progress, 0);
    lua_rawset(L, -4);
  }
  *progress = (struct progress){session_requests(session), *result};
  lua_settop(L, top);
}

static void forget_progress(lua_State *L) {
  int top = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &progress_key) == LUA_TTABLE) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL) {
      lua_pushvalue(L, 2);
      lua_pushnil(L);
      lua_rawset(L, top + 1);
    }
  }
  lua_settop(L, top);
}

/* What a request_complete would return for `result` of the framing at index 1; sets the request of
 * the table at index 2, which is the `self` of the session if there is one. */
static int return_answer(lua_State *L, const struct framing *framing, struct session *session,
                         const struct framing_result *result) {
  char why[FRAMING_WHY_MAX];
  switch (result->answer) {
  case FRAMING_COMPLETE:
    module_framing_push_request(L, 1, framing, result);
    lua_setfield(L, 2, "request");
    if (session) client_note_request(session);
    lua_pushboolean(L, true);
    lua_pushinteger(L, (lua_Integer)result->length);
    break;
  case FRAMING_PARTIAL:
    lua_pushboolean(L, false);
    lua_pushinteger(L, (lua_Integer)result->length);
    break;
  case FRAMING_MALFORMED:
    lua_pushnil(L);
    lua_pushstring(L, framing_explain(framing, result, why, sizeof why));
    break;
  case FRAMING_TOO_LARGE:
    lua_pushnil(L);
    lua_pushliteral(L, "too_large");
    lua_pushstring(L, framing_explain(framing, result, why, sizeof why));
    return 3;
  }
  return 2;
}

/* Less than this is looked at again from its beginning: that is cheaper than to remember how far
 * one had come. */
enum { REMEMBERED_FROM = 64 };

/* The input of the session, in which the same bytes stand at the beginning until its request is
 * answered. */
static int call_on_input(lua_State *L, const struct framing *framing, struct session *session) {
  struct span input = session_input(session);
  bool remembers = input.length >= REMEMBERED_FROM;
  const struct progress *before = remembers ? find_progress(L, session, input.length) : NULL;
  struct framing_result result;
  size_t seen = 0;
  if (before) {
    result = before->result;
    seen = result.seen;
  }
  if (session_marks(session) & CLIENT_IS_ASKED) session_look(session, input.length - seen);
  framing_decode(framing, input.data, input.length, seen, &result);
  if (remembers && result.answer == FRAMING_PARTIAL) keep_progress(L, session, &result);
  if (result.answer == FRAMING_PARTIAL && result.interim) session_offer(session, result.interim);
  if (remembers && result.answer == FRAMING_COMPLETE) forget_progress(L);
  return return_answer(L, framing, session, &result);
}

/* Whether what the table at index 2 has as its `incoming`, at the top, is what the session has. */
static bool is_input(lua_State *L, const struct session *session) {
  size_t length;
  const char *bytes = lua_tolstring(L, -1, &length);
  struct span input = session_input(session);
  return length == input.length && (length == 0 || memcmp(bytes, input.data, length) == 0);
}

int framing_call(lua_State *L, const struct framing *framing) {
  struct framing_result result;
  size_t length;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  struct session *session = client_session(L, 2);
  if (session) {
    lua_pushliteral(L, "incoming");
    int type = lua_rawget(L, 2);
    if (type == LUA_TNIL || (type == LUA_TSTRING && is_input(L, session)))
      return call_on_input(L, framing, session);
    lua_settop(L, 2);
  }
  if (lua_getfield(L, 2, "incoming") != LUA_TSTRING)
    return luaL_error(L, "framing.%s: incoming must be a string, not %s",
                      framing_name(framing->kind), luaL_tolstring(L, -1, NULL));
  const char *bytes = lua_tolstring(L, -1, &length);
  framing_decode(framing, bytes, length, 0, &result);
  return return_answer(L, framing, session, &result);
}
