#include "script/serve.h"

#include <lauxlib.h>
#include <string.h>

#include "framing/http.h"
#include "script/client.h"
#include "script/generation.h"
#include "script/pull.h"
#include "script/response.h"
#include "script/script_internal.h"
#include "script/sent_file.h"
#include "script/watchdog.h"
#include "session/session.h"

/* The stack of an entry: what it was called with, `self`, and what every request needs, which is
 * looked up once for all of them; above that, the three results of a call. */
enum {
  CALL = 1,
  SELF,
  REQUEST_COMPLETE, /* the function, or the framing in its place */
  MAKE_RESPONSE,
  INPUT_KEY, /* "incoming", or "request" with a framing */
  CLOSE_KEY, /* "close_when_done" */
  TOP = CLOSE_KEY,
  ANSWER,
  DETAIL,
  VALUE
};

/* What one step may need on the stack at most. */
enum { SLOTS = 30 };

struct call {
  struct generation *generation;
  struct session *session;
  int reference; /* for close_file(): of the file */
};

static void push_function(lua_State *state, const struct generation *generation,
                          enum function function) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->functions[function]);
}

/* Calls the function on the top with self. What is lent to the server is not the script's. */
static void call_with_self(lua_State *state, const struct generation *generation, int results) {
  struct memory *memory = &generation->script->memory;
  lua_pushvalue(state, SELF);
  memory_use_server_reserve(memory, false);
  lua_call(state, 1, results);
  memory_use_server_reserve(memory, true);
}

/* What stands at DETAIL, of that type and not nil, must be a count from low to high: low is 1
 * behind true, else over the bytes. */
static size_t check_count(lua_State *state, const struct generation *generation, int type,
                          size_t low, size_t high) {
  int is_whole = 0;
  lua_Integer count = 0;
  if (type == LUA_TNUMBER) count = lua_tointegerx(state, DETAIL, &is_whole);
  if (is_whole && count >= (lua_Integer)low && count <= (lua_Integer)high) return (size_t)count;
  const char *returned = luaL_tolstring(state, DETAIL, NULL);
  const char *place = generation_push_place(state, generation, FUNCTION_REQUEST_COMPLETE);
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

static int complain_of_answer(lua_State *state, const struct generation *generation) {
  const char *detail = luaL_tolstring(state, DETAIL, NULL);
  const char *answer = luaL_tolstring(state, ANSWER, NULL);
  return luaL_error(state, "%s returned %s, %s; it must return false, true, or nil and a reason",
                    generation_push_place(state, generation, FUNCTION_REQUEST_COMPLETE), answer,
                    detail);
}

/* nil and a reason: a word that is one of the core's, with a text behind it or none; or a text. */
static void refuse(lua_State *state, const struct generation *generation, struct session *session) {
  static const char too_large[] = "too_large", malformed[] = "malformed";
  if (lua_type(state, DETAIL) != LUA_TSTRING) complain_of_answer(state, generation);
  const char *why = lua_tostring(state, DETAIL);
  bool is_too_large = strcmp(why, too_large) == 0;
  if (is_too_large) why = "the request is too large";
  if ((is_too_large || strcmp(why, malformed) == 0) && lua_type(state, VALUE) == LUA_TSTRING)
    why = lua_tostring(state, VALUE);
  session_set_verdict(session, is_too_large ? SESSION_TOO_LARGE : SESSION_MALFORMED, 0, why);
}

static void set_request(lua_State *state, int value) {
  lua_pushliteral(state, "request");
  lua_pushvalue(state, value);
  lua_rawset(state, SELF);
}

static void mark(struct session *session, unsigned marks) {
  session_set_marks(session, session_marks(session) | marks);
}

static void unmark(struct session *session, unsigned marks) {
  session_set_marks(session, session_marks(session) & ~marks);
}

/* The request that the core has set in `self` goes with its response. */
static void drop_answered(lua_State *state, struct session *session) {
  if ((session_marks(session) & CLIENT_IS_ANSWERED) == 0) return;
  lua_pushnil(state);
  set_request(state, lua_gettop(state));
  lua_pop(state, 1);
  unmark(session, CLIENT_HAS_REQUEST | CLIENT_IS_ANSWERED);
}

/* What request_complete returned about the first `have` bytes stands from ANSWER on: nearly always
 * two values, or else it is made to be three. True: there is a request to be answered. */
static bool take_verdict(lua_State *state, const struct generation *generation,
                         struct session *session, size_t have) {
  bool has_value = false;
  if (lua_gettop(state) != DETAIL) {
    lua_settop(state, VALUE);
    has_value = !lua_isnil(state, VALUE);
  }
  int answer_type = lua_type(state, ANSWER), detail_type = lua_type(state, DETAIL);
  if (answer_type == LUA_TNIL)
    refuse(state, generation, session);
  else if (answer_type != LUA_TBOOLEAN)
    complain_of_answer(state, generation);
  else if (lua_toboolean(state, ANSWER)) {
    if (detail_type != LUA_TNIL) have = check_count(state, generation, detail_type, 1, have);
    if (has_value) {
      set_request(state, VALUE);
      client_note_request(session);
    }
    return session_set_verdict(session, SESSION_COMPLETE, have, NULL);
  } else {
    size_t needed = 0;
    if (detail_type != LUA_TNIL)
      needed = check_count(state, generation, detail_type, have + 1, PTRDIFF_MAX);
    mark(session, CLIENT_WAS_ASKED);
    session_set_verdict(session, SESSION_PARTIAL, needed, NULL);
  }
  return false;
}

/* When it asks again, more than that is copied only if request_complete looks at it: one that calls
 * a framing does not. */
enum { SHOWN_UNASKED = 128 };

/* Making a request of so many bytes takes a time that can be measured. */
enum { LARGE_REQUEST = 16 * 1024 };

/* False: it is made when it is read. */
static bool show_input(lua_State *state, const struct generation *generation,
                       const struct session *session, struct span input) {
  bool is_shown = input.length <= SHOWN_UNASKED || (session_marks(session) & CLIENT_WAS_ASKED) == 0;
  lua_pushvalue(state, INPUT_KEY);
  if (is_shown) {
    generation->script->asked.bytes += input.length;
    lua_pushlstring(state, input.data, input.length);
  } else
    lua_pushnil(state);
  lua_rawset(state, SELF);
  return is_shown;
}

/* What is looked at meanwhile is counted. */
static void call_unshown(lua_State *state, const struct generation *generation,
                         struct session *session) {
  mark(session, CLIENT_IS_ASKED);
  call_with_self(state, generation, LUA_MULTRET);
  unmark(session, CLIENT_IS_ASKED);
  generation->script->asked.bytes += session_take_looked(session);
}

/* True: there is a request to be answered. */
static bool ask(lua_State *state, const struct generation *generation, struct session *session) {
  if (generation->is_connect_only) { /* the version before it took requests */
    session_set_verdict(session, SESSION_MALFORMED, 0,
                        "this version of the protocol takes no requests");
    return false;
  }
  drop_answered(state, session);
  struct span input = session_input(session);
  bool is_shown = show_input(state, generation, session, input);
  generation->script->asked.calls++;
  lua_pushvalue(state, REQUEST_COMPLETE);
  if (is_shown)
    call_with_self(state, generation, LUA_MULTRET);
  else
    call_unshown(state, generation, session);
  return take_verdict(state, generation, session, input.length);
}

/* What holds for this connection: its own word, else the protocol's. */
static bool closes_when_done(lua_State *state, const struct generation *generation) {
  lua_pushvalue(state, CLOSE_KEY);
  int type = lua_rawget(state, SELF);
  return type == LUA_TNIL ? generation->close_when_done : lua_toboolean(state, -1);
}

/* The request that the core has set goes when the next one is asked about, or nothing is in hand.
 */
static void note_answered(struct session *session) {
  unsigned marks = session_marks(session);
  if (marks == 0) return;
  unmark(session, CLIENT_WAS_ASKED);
  if (marks & CLIENT_HAS_REQUEST) mark(session, CLIENT_IS_ANSWERED);
}

static void answer(lua_State *state, const struct generation *generation, struct session *session) {
  const struct framing *framing = generation->handler.framing;
  if (framing) {
    const struct framing_answer *framed = session_framed(session);
    lua_pushvalue(state, INPUT_KEY);
    generation->push_request(state, REQUEST_COMPLETE, framing, framed);
    lua_rawset(state, SELF);
    /* Making the request was the core's own work, which does not count for the script's limit. */
    if (framed->length >= LARGE_REQUEST) watchdog_restart();
  } else
    watchdog_restart_processor_time();
  lua_pushvalue(state, MAKE_RESPONSE);
  call_with_self(state, generation, 1);
  if (!response_queue(state, session, generation, FUNCTION_MAKE_RESPONSE)) return;
  session_answered(session, closes_when_done(state, generation));
  if (!framing) note_answered(session);
}

/* Whether the script has the peer send the body of its request, having seen the head. */
static void expect(lua_State *state, const struct generation *generation, struct session *session) {
  struct framing_answer head;
  struct span input = session_input(session);
  http_read_head(input.data, input.length, &head);
  lua_pushvalue(state, INPUT_KEY);
  generation->push_request(state, REQUEST_COMPLETE, generation->handler.framing, &head);
  lua_rawset(state, SELF);
  push_function(state, generation, FUNCTION_HANDLE_EXPECT);
  call_with_self(state, generation, 1);
  if (lua_isnil(state, -1)) {
    session_accept_body(session);
    return;
  }
  if (!response_queue(state, session, generation, FUNCTION_HANDLE_EXPECT)) return;
  session_answered(session, true);
}

/* After handle_connect the conversation goes on, unless there is nothing that could follow or the
 * script has said so on this `self`. */
static void on_connect(lua_State *state, const struct generation *generation,
                       struct session *session) {
  push_function(state, generation, FUNCTION_HANDLE_CONNECT);
  call_with_self(state, generation, 1);
  if (!response_queue(state, session, generation, FUNCTION_HANDLE_CONNECT)) return;
  lua_pushvalue(state, CLOSE_KEY);
  lua_rawget(state, SELF);
  session_answered(session, generation->is_connect_only || lua_toboolean(state, -1));
}

static void on_error(lua_State *state, const struct generation *generation,
                     struct session *session) {
  push_function(state, generation, FUNCTION_HANDLE_ERROR);
  lua_pushvalue(state, SELF);
  lua_pushstring(state, reason_name(session_reason(session)));
  lua_pushstring(state, session_failure(session));
  lua_call(state, 3, 1);
  if (!response_queue(state, session, generation, FUNCTION_HANDLE_ERROR)) return;
  session_answered(session, true);
}

static void on_close(lua_State *state, const struct generation *generation,
                     struct session *session) {
  push_function(state, generation, FUNCTION_HANDLE_CLOSE);
  lua_pushvalue(state, SELF);
  lua_pushstring(state, reason_name(session_reason(session)));
  lua_call(state, 2, 0);
}

static lua_Integer blocksize_of(lua_State *state, const struct generation *generation) {
  lua_pushliteral(state, "blocksize");
  lua_rawget(state, SELF);
  int is_whole;
  lua_Integer own = lua_tointegerx(state, -1, &is_whole);
  lua_pop(state, 1);
  return is_whole && own > 0 && own <= BLOCKSIZE_MAX ? own : generation->blocksize;
}

/* What was made for one request does not stay with an idle connection. A response that has a file
 * or a held string keeps it until on_sent(). */
static void forget_request(lua_State *state, struct session *session) {
  if (session_is_responding(session)) return;
  drop_answered(state, session);
  lua_pushvalue(state, INPUT_KEY);
  lua_pushnil(state);
  lua_rawset(state, SELF);
}

/* A version before this one may have left what this one does not set: its request, or the bytes. */
static void forget_other(lua_State *state, const struct generation *generation,
                         const struct session *session) {
  if (session_marks(session) & CLIENT_HAS_REQUEST) return;
  lua_pushstring(state, generation->handler.framing ? "incoming" : "request");
  lua_pushnil(state);
  lua_rawset(state, SELF);
}

/* How long one conversation may keep the others waiting, in ms, if it has more and more to do. */
enum { SHARE_OF_TIME = 20 };

static int serve(lua_State *state) {
  const struct call *call = lua_touserdata(state, CALL);
  const struct generation *generation = call->generation;
  struct session *session = call->session;
  /* For the whole entry: gate_run() takes it back. */
  memory_use_server_reserve(&generation->script->memory, true);
  luaL_checkstack(state, SLOTS, NULL);
  client_push(state, session, generation->metatable);
  push_function(state, generation, FUNCTION_REQUEST_COMPLETE);
  push_function(state, generation, FUNCTION_MAKE_RESPONSE);
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->input_key);
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->close_key);
  if (generation->number > 1) forget_other(state, generation, session);
  uint32_t started = watchdog_restarted_at();
  for (bool is_first = true;; is_first = false) {
    enum session_step step = session_next(session);
    /* Each call has its own limit. */
    if (!is_first && step != SESSION_WAIT) watchdog_restart();
    switch (step) {
    case SESSION_CONNECT: on_connect(state, generation, session); break;
    case SESSION_ASK:
      if (!ask(state, generation, session)) break;
      /* fall through */
    case SESSION_ANSWER: answer(state, generation, session); break;
    case SESSION_EXPECT: expect(state, generation, session); break;
    case SESSION_PULL:
      memory_use_server_reserve(&generation->script->memory, false);
      pull_stream(state, session, blocksize_of(state, generation), SHARE_OF_TIME);
      memory_use_server_reserve(&generation->script->memory, true);
      break;
    case SESSION_ERROR: on_error(state, generation, session); break;
    case SESSION_CLOSE: on_close(state, generation, session); return 0;
    case SESSION_WAIT: forget_request(state, session); return 0;
    }
    lua_settop(state, TOP);
    if (watchdog_restarted_at() - started >= SHARE_OF_TIME) session_yield(session);
  }
}

static enum reason reason_of(enum gate_result result) {
  if (result == GATE_OVERRUN) return REASON_SCRIPT_OVERRUN;
  return result == GATE_NO_MEMORY ? REASON_OUT_OF_MEMORY : REASON_SCRIPT_ERROR;
}

static void run(struct handler *handler, struct session *session) {
  struct generation *generation = (struct generation *)handler;
  struct call call = {.generation = generation, .session = session};
  bool is_last = session_is_at_close(session);
  struct script *script = generation->script;
  struct generation *outer = script->running;
  script->running = generation;
  script->collector.is_dirty = true;
  enum gate_result result = gate_run(&script->gate, serve, &call);
  script->running = outer;
  if (result != GATE_OK) session_fail(session, reason_of(result), script->gate.error);
  if (is_last) session_closed(session);
}

static void forget_client(struct handler *handler, struct session *session) {
  client_forget(((struct generation *)handler)->script->gate.main, session);
}

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
static void on_sent(struct handler *handler, struct session *session) {
  const struct generation *generation = (struct generation *)handler;
  lua_State *state = generation->script->gate.main;
  bool has_client = lua_rawgeti(state, LUA_REGISTRYINDEX, session_client(session)) == LUA_TTABLE;
  bool has_request = (session_marks(session) & CLIENT_IS_ANSWERED) != 0;
  if (has_client) remove_field(state, generation->input_key);
  if (has_client && has_request) remove_field(state, generation->request_key);
  if (has_request) unmark(session, CLIENT_HAS_REQUEST | CLIENT_IS_ANSWERED);
  lua_pop(state, 1);
  generation->script->collector.is_dirty = true;
}

static int close_file(lua_State *state) {
  const struct call *call = lua_touserdata(state, CALL);
  lua_rawgeti(state, LUA_REGISTRYINDEX, call->reference);
  sent_file_close(state);
  return 0;
}

static void migrate(struct handler *handler, struct session *session, struct handler *successor) {
  const struct generation *from = (struct generation *)handler;
  const struct generation *to = (struct generation *)successor;
  client_adopt(from->script->gate.main, session, from->metatable, to->metatable);
}

/* A negative reference is a descriptor, which is closed. Strings and functions only lose their
 * anchor, which cannot raise. A file that is a FILE * is closed, and most of them need neither the
 * gate nor memory for that. */
static void release(struct handler *handler, struct session *session, int reference) {
  if (response_close_descriptor(reference)) return;
  struct generation *generation = (struct generation *)handler;
  struct gate *gate = &generation->script->gate;
  lua_State *state = gate->main;
  struct call call = {.generation = generation, .session = session, .reference = reference};
  bool is_file = lua_rawgeti(state, LUA_REGISTRYINDEX, reference) == LUA_TUSERDATA;
  if (is_file && sent_file_close_plain(state, -1)) is_file = false;
  lua_pop(state, 1);
  if (is_file && gate_run(gate, close_file, &call) != GATE_OK)
    log_event(LOG_WARN, "close_failed", "detail", gate->error);
  luaL_unref(state, LUA_REGISTRYINDEX, reference);
}

const struct handler serve_handler = {.run = run,
                                      .release = release,
                                      .on_sent = on_sent,
                                      .migrate = migrate,
                                      .forget_client = forget_client};
