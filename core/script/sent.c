#include "script/sent.h"

#include <lauxlib.h>

#include "script/client.h"
#include "script/generation.h"
#include "script/response.h"
#include "script/script_internal.h"
#include "script/sent_file.h"
#include "script/stream_pull.h"
#include "session/session.h"

/* Removes a field of the table on the top. The field exists, or nothing is done: so nothing is
 * allocated in Lua. */
static void remove_field(lua_State *state, int key) {
  int top = lua_gettop(state);
  lua_rawgeti(state, LUA_REGISTRYINDEX, key);
  lua_pushvalue(state, -1);
  bool is_there = lua_rawget(state, top) != LUA_TNIL;
  lua_settop(state, top + 1);
  lua_pushnil(state);
  if (is_there) lua_rawset(state, top);
  lua_settop(state, top);
}

/* Does what forget_request() has left, without the gate: it cannot raise. */
void sent_forget_request(struct handler *handler, struct session *session) {
  const struct generation *generation = (struct generation *)handler;
  lua_State *state = generation->script->gate.main;
  bool has_client = lua_rawgeti(state, LUA_REGISTRYINDEX, session_client(session)) == LUA_TTABLE;
  bool has_request = (session_marks(session) & CLIENT_IS_ANSWERED) != 0;
  if (has_client) remove_field(state, generation->input_key);
  if (has_client && has_request) remove_field(state, generation->request_key);
  if (has_request) client_unmark(session, CLIENT_HAS_REQUEST | CLIENT_IS_ANSWERED);
  lua_pop(state, 1);
  generation->script->collector.is_dirty = true;
}

static int close_file(lua_State *state) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, *(const int *)lua_touserdata(state, 1));
  sent_file_close(state);
  return 0;
}

/* A negative reference is a descriptor, which is closed. Strings and functions only lose their
 * anchor, which cannot raise. A file that is a FILE * is closed, and most of them need neither the
 * gate nor memory for that. */
void sent_release(struct handler *handler, struct session *session, int reference) {
  if (response_close_descriptor(reference)) return;
  struct generation *generation = (struct generation *)handler;
  struct gate *gate = &generation->script->gate;
  lua_State *state = gate->main;
  (void)session;
  int type = lua_rawgeti(state, LUA_REGISTRYINDEX, reference);
  bool is_file = type == LUA_TUSERDATA;
  struct stream *stream = type == LUA_TFUNCTION ? stream_pull_of(state, -1) : NULL;
  if (stream) stream_pull_release(stream);
  if (is_file && sent_file_close_plain(state, -1)) is_file = false;
  lua_pop(state, 1);
  if (is_file && gate_run(gate, close_file, &reference) != GATE_OK)
    log_event(LOG_WARN, "close_failed", "detail", gate->error);
  luaL_unref(state, LUA_REGISTRYINDEX, reference);
}
