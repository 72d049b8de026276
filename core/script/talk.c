#include "script/talk.h"

#include <lauxlib.h>

#include "script/client.h"
#include "script/reading.h"
#include "script/task.h"
#include "session/body.h"
#include "session/datagram.h"
#include "session/session.h"
#include "session/tunnel.h"

/* The stack of read() and peek(). */
enum { SELF = 1, WHAT, READING };

struct session *talk_check_session(lua_State *state, const struct task *task, const char *name) {
  struct session *session = client_session(state, SELF);
  if (session && session_is_datagram(session))
    luaL_error(state, "%s needs a connection, and this `self` stands for a datagram", name);
  if (session && (session != task->session || !session_can_talk(session)))
    luaL_error(state,
               "%s works only in the handle_connect and make_response of the same connection",
               name);
  return session && session_has_tunnel(session) ? NULL : session;
}

struct session *talk_check_behind_body(lua_State *state, const struct task *task,
                                       const char *name) {
  struct session *session = talk_check_session(state, task, name);
  if (session && session_is_in_body(session))
    luaL_error(state, "%s would take bytes of self.request.body: read that to its end first", name);
  if (session && session_will_secure(session))
    luaL_error(state, "%s would take bytes that are not secure: TLS begins behind the response",
               name);
  return session;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_again(lua_State *state, int status, lua_KContext top);

static int read_on(lua_State *state, struct task *task) {
  struct session *session = task->session;
  struct reading *reading = lua_touserdata(state, READING);
  struct reading_answer answer = {0};
  enum reading_end end = session_has_heard_all(session) ? READING_ENDED : READING_OPEN;
  switch (reading_look(reading, session_rest(session), end, &answer)) {
  case READING_DONE:
    session_note_talk(session);
    reading_push(state, WHAT, reading, &answer);
    session_take_rest(session, answer.length);
    return 1;
  case READING_FAILED: return reading_push_failure(state, reading, &answer);
  default: break;
  }
  session_await(session, SESSION_AWAIT_INPUT);
  return task_wait_then(state, task, NULL, read_again);
}

static int read_again(lua_State *state, int status, lua_KContext top) {
  (void)status, (void)top;
  task_check_cancel(state);
  return read_on(state, gate_of(state)->running);
}

typedef void take(lua_State *state, int index, struct reading *reading);

static int begin_read(lua_State *state, const char *name, take *take_what) {
  luaL_checktype(state, SELF, LUA_TTABLE);
  if (lua_gettop(state) > WHAT) luaL_argerror(state, WHAT, "one thing is read at a time");
  lua_settop(state, WHAT);
  take_what(state, WHAT, lua_newuserdatauv(state, sizeof(struct reading), 0));
  struct task *task = task_begin_wait(state, name);
  if (!task) return 3;
  if (!talk_check_behind_body(state, task, name)) return task_push_failure(state, "closed");
  return read_on(state, task);
}

/* self:read(what) */
static int read_from(lua_State *state) { return begin_read(state, "self:read", reading_take); }

/* self:peek(count) */
static int peek_at(lua_State *state) { return begin_read(state, "self:peek", reading_take_peek); }

/* ---- writing ------------------------------------------------------------------------------- */

static int write_again(lua_State *state, int status, lua_KContext top);

/* Waits while more than `most` is unsent. */
static int write_on(lua_State *state, struct task *task, size_t most) {
  if (session_unsent(task->session) > most) {
    session_await(task->session, SESSION_AWAIT_ROOM);
    return task_wait_then(state, task, NULL, write_again);
  }
  session_note_talk(task->session);
  lua_pushvalue(state, SELF);
  return 1;
}

static int write_again(lua_State *state, int status, lua_KContext top) {
  (void)status, (void)top;
  task_check_cancel(state);
  return write_on(state, gate_of(state)->running, SESSION_LOW_WATER);
}

/* self:write(...) */
static int write_to(lua_State *state) {
  luaL_checktype(state, SELF, LUA_TTABLE);
  int count = lua_gettop(state);
  for (int i = SELF + 1; i <= count; i++) luaL_checklstring(state, i, NULL);
  luaL_checkstack(state, LUA_MINSTACK, NULL);
  struct task *task = task_begin_wait(state, "self:write");
  if (!task) return 3;
  struct session *session = talk_check_session(state, task, "self:write");
  if (!session) return task_push_failure(state, "closed");
  for (int i = SELF + 1; i <= count; i++) {
    size_t length;
    const char *bytes = lua_tolstring(state, i, &length);
    if (length > 0 && session_send(session, bytes, length) != STATUS_OK)
      return gate_raise_no_memory(state);
  }
  return write_on(state, task, SESSION_HIGH_WATER);
}

void talk_install(lua_State *state) {
  static const luaL_Reg methods[] = {
      {"read", read_from}, {"peek", peek_at}, {"write", write_to}, {NULL, NULL}};
  client_push_methods(state);
  luaL_setfuncs(state, methods, 0);
  lua_pop(state, 1);
}
