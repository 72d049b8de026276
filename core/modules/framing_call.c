#include "modules/framing_call.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "script/client.h"
#include "session/session.h"

/* How far a framing that is called on a `self` has come in the current request. */
struct call_progress {
  uint64_t requests; /* Requests answered before: if there are more now, the progress is old. */
  struct framing_progress progress;
};

/* The key in the registry of a weak table. It maps each such `self` to a table that maps framings
 * to their struct call_progress. */
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

/* Returns how far the framing has come; zeros: that is not known. Does not change the stack. */
static struct framing_progress find_progress(lua_State *L, const struct session *session,
                                             size_t length) {
  const struct call_progress *found = NULL;
  int top = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &progress_key) == LUA_TTABLE) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
      lua_pushvalue(L, 1);
      lua_rawget(L, -2);
      found = lua_touserdata(L, -1);
    }
  }
  lua_settop(L, top);
  bool is_of_use =
      found && found->requests == session_requests(session) && found->progress.seen <= length;
  return is_of_use ? found->progress : (struct framing_progress){0};
}

static void keep_progress(lua_State *L, const struct session *session,
                          const struct framing_progress *progress) {
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
  struct call_progress *kept = lua_touserdata(L, -1);
  if (!kept) {
    lua_pushvalue(L, 1);
    kept = lua_newuserdatauv(L, sizeof *kept, 0);
    lua_rawset(L, -4);
  }
  *kept = (struct call_progress){session_requests(session), *progress};
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

/* Returns the values of a request_complete for an answer of the framing at index 1. If the request
 * is complete, sets the field `request` of the table at index 2. If there is a session, this table
 * is its `self`. */
static int return_answer(lua_State *L, const struct framing *framing, struct session *session,
                         const struct framing_answer *answer) {
  char why[FRAMING_WHY_MAX];
  switch (answer->verdict) {
  case FRAMING_HEAD: /* Not reached: such a framing cannot be called. */
  case FRAMING_COMPLETE:
    ((const struct framing_value *)lua_touserdata(L, 1))->push_request(L, 1, framing, answer);
    lua_setfield(L, 2, "request");
    if (session) client_note_request(session);
    lua_pushboolean(L, true);
    lua_pushinteger(L, (lua_Integer)answer->length);
    break;
  case FRAMING_PARTIAL:
    lua_pushboolean(L, false);
    lua_pushinteger(L, (lua_Integer)answer->length);
    break;
  case FRAMING_MALFORMED:
    lua_pushnil(L);
    lua_pushstring(L, framing_explain(framing, answer, why, sizeof why));
    break;
  case FRAMING_TOO_LARGE:
    lua_pushnil(L);
    lua_pushliteral(L, "too_large");
    lua_pushstring(L, framing_explain(framing, answer, why, sizeof why));
    return 3;
  }
  return 2;
}

/* The progress in an input of fewer bytes is not stored: reading it again costs less. */
enum { REMEMBERED_FROM = 64 };

/* Calls the framing on the input of the session, which begins with the same bytes until the request
 * is answered. */
static int call_on_input(lua_State *L, const struct framing *framing, struct session *session) {
  struct span input = session_input(session);
  bool remembers = input.length >= REMEMBERED_FROM;
  struct framing_progress progress = {0};
  struct framing_answer answer;
  if (remembers) progress = find_progress(L, session, input.length);
  if (session_marks(session) & CLIENT_IS_ASKED)
    session_count_looked(session, input.length - progress.seen);
  framing_decode(framing, input.data, input.length, &progress, &answer);
  if (remembers && answer.verdict == FRAMING_PARTIAL) keep_progress(L, session, &progress);
  if (answer.interim) session_offer_interim(session, answer.interim);
  if (remembers && answer.verdict == FRAMING_COMPLETE) forget_progress(L);
  return return_answer(L, framing, session, &answer);
}

/* Whether the string on the top is the input of the session. */
static bool is_input(lua_State *L, const struct session *session) {
  size_t length;
  const char *bytes = lua_tolstring(L, -1, &length);
  struct span input = session_input(session);
  return length == input.length && (length == 0 || memcmp(bytes, input.data, length) == 0);
}

int framing_call(lua_State *L, const struct framing_value *value) {
  const struct framing *framing = &value->framing;
  struct framing_progress progress = {0};
  struct framing_answer answer;
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
  framing_decode(framing, bytes, length, &progress, &answer);
  return return_answer(L, framing, session, &answer);
}
