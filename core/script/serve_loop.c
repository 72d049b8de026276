#include "script/serve_loop.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "framing/http.h"
#include "script/ban.h"
#include "script/client.h"
#include "script/generation.h"
#include "script/owned.h"
#include "script/pull.h"
#include "script/response.h"
#include "script/script_internal.h"
#include "script/serve_datagram.h"
#include "script/serve_stack.h"
#include "script/task.h"
#include "script/tunnel.h"
#include "script/verdict.h"
#include "script/watchdog.h"
#include "session/body.h"
#include "session/datagram.h"
#include "session/session.h"
#include "session/tunnel.h"

/* What one step may need on the stack at most. */
enum { SLOTS = 30 };

static int go_on_after(lua_State *state, int status, lua_KContext step);

static void push_function(lua_State *state, const struct generation *generation,
                          enum function function) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->functions[function]);
}

/* Calls the function below `arguments` values. What is lent to the server is not the script's. The
 * function may wait or raise: then nothing behind this call runs. After a wait, go_on_after() does
 * what is left to do; after an error, after_loop(). */
static void call(lua_State *state, const struct generation *generation, int arguments, int results,
                 enum session_step step) {
  struct memory *memory = &generation->script->memory;
  memory_use_server_reserve(memory, false);
  lua_callk(state, arguments, results, step, go_on_after);
  memory_use_server_reserve(memory, true);
}

static void call_with_self(lua_State *state, const struct generation *generation, int results,
                           enum session_step step) {
  lua_pushvalue(state, SELF);
  call(state, generation, 1, results, step);
}

/* The same for a function that must not wait, without a continuation: after an error that a pcall
 * of the function has caught, Lua would go on there, and not here. */
static void call_at_once(lua_State *state, const struct generation *generation, int arguments,
                         int results, const char *no_wait) {
  struct gate *gate = &generation->script->gate;
  gate->no_wait = no_wait;
  memory_use_server_reserve(gate->memory, false);
  lua_call(state, arguments, results);
  memory_use_server_reserve(gate->memory, true);
  gate->no_wait = NULL;
}

/* The request that the core has set in `self` goes with its response. */
static void drop_answered(lua_State *state, struct session *session) {
  if ((session_marks(session) & CLIENT_IS_ANSWERED) == 0) return;
  lua_pushnil(state);
  client_set_request(state, SELF, lua_gettop(state));
  lua_pop(state, 1);
  client_unmark(session, CLIENT_HAS_REQUEST | CLIENT_IS_ANSWERED);
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

/* Asks request_complete. What it looks at meanwhile is counted. True: there is a request to be
 * answered. */
static bool ask(lua_State *state, const struct generation *generation, struct session *session) {
  drop_answered(state, session);
  struct span input = session_input(session);
  bool is_shown = show_input(state, generation, session, input);
  generation->script->asked.calls++;
  lua_pushvalue(state, REQUEST_COMPLETE);
  if (!is_shown) client_mark(session, CLIENT_IS_ASKED);
  lua_pushvalue(state, SELF);
  call_at_once(state, generation, 1, LUA_MULTRET, ban_in_request_complete);
  if (!is_shown) {
    client_unmark(session, CLIENT_IS_ASKED);
    generation->script->asked.bytes += session_take_looked(session);
  }
  return verdict_take(state, generation, session, input.length);
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
  client_unmark(session, CLIENT_WAS_ASKED | CLIENT_KEEPS_INPUT);
  if (marks & CLIENT_HAS_REQUEST) client_mark(session, CLIENT_IS_ANSWERED);
}

/* With a framing, the input is not stored for the next request. */
static void drop_input(lua_State *state, struct session *session) {
  lua_pushliteral(state, "incoming");
  lua_pushnil(state);
  lua_rawset(state, SELF);
  client_unmark(session, CLIENT_KEEPS_INPUT);
}

__attribute__((always_inline)) static inline void
begin_answer(lua_State *state, const struct generation *generation, struct session *session) {
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
  call_with_self(state, generation, 1, SESSION_ANSWER);
}

__attribute__((always_inline)) static inline void
finish_answer(lua_State *state, const struct generation *generation, struct session *session) {
  if (!response_queue(state, session, generation, FUNCTION_MAKE_RESPONSE)) return;
  session_answered(session, closes_when_done(state, generation));
  if (!generation->handler.framing)
    note_answered(session);
  else if (session_marks(session) & CLIENT_KEEPS_INPUT)
    drop_input(state, session);
}

/* Whether the script has the peer send the body of its request, having seen the head. */
static void begin_expect(lua_State *state, const struct generation *generation,
                         struct session *session) {
  struct framing_answer head;
  struct span input = session_input(session);
  http_read_head(input.data, input.length, &head);
  lua_pushvalue(state, INPUT_KEY);
  generation->push_request(state, REQUEST_COMPLETE, generation->handler.framing, &head);
  lua_rawset(state, SELF);
  push_function(state, generation, FUNCTION_HANDLE_EXPECT);
  lua_pushvalue(state, SELF);
  call_at_once(state, generation, 1, 1,
               "in handle_expect: decide by the head there, and wait in make_response");
}

static void finish_expect(lua_State *state, const struct generation *generation,
                          struct session *session) {
  if (lua_isnil(state, -1)) {
    session_accept_body(session);
    return;
  }
  if (!response_queue(state, session, generation, FUNCTION_HANDLE_EXPECT)) return;
  session_answered(session, true);
}

/* After handle_connect the conversation goes on, unless there is nothing that could follow or the
 * script has said so on this `self`. */
static void finish_connect(lua_State *state, const struct generation *generation,
                           struct session *session) {
  if (!response_queue(state, session, generation, FUNCTION_HANDLE_CONNECT)) return;
  lua_pushvalue(state, CLOSE_KEY);
  lua_rawget(state, SELF);
  session_answered(session, generation->is_connect_only || lua_toboolean(state, -1));
}

static void begin_error(lua_State *state, const struct generation *generation,
                        struct session *session) {
  push_function(state, generation, FUNCTION_HANDLE_ERROR);
  lua_pushvalue(state, SELF);
  lua_pushstring(state, reason_name(session_reason(session)));
  lua_pushstring(state, session_failure(session));
  call(state, generation, 3, 1, SESSION_ERROR);
}

static void finish_error(lua_State *state, const struct generation *generation,
                         struct session *session) {
  if (session_is_datagram(session))
    serve_datagram_response(state, generation, session, FUNCTION_HANDLE_ERROR);
  else if (!response_queue(state, session, generation, FUNCTION_HANDLE_ERROR))
    return;
  session_answered(session, true);
}

static void begin_close(lua_State *state, const struct generation *generation,
                        struct session *session) {
  push_function(state, generation, FUNCTION_HANDLE_CLOSE);
  lua_pushvalue(state, SELF);
  lua_pushstring(state, session_reason_text(session));
  call_at_once(state, generation, 2, 0, "in handle_close: the connection is over");
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
 * or a held string keeps it until sent_forget_request(). */
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

/* A function of the script has raised, was stopped or was cancelled. After a cancel the session
 * knows itself why it was asked for, and the error is not looked at. */
static void fail_step(lua_State *state, const struct generation *generation,
                      struct session *session, int status) {
  struct gate *gate = &generation->script->gate;
  enum gate_result result = task_failure_of(state, status);
  bool is_cancelled = gate->running->cancel == CANCEL_RAISED;
  owned_end_all(&gate->running->owned, is_cancelled);
  gate->no_wait = NULL;
  client_unmark(session, CLIENT_IS_ASKED);
  gate->running->cancel = CANCEL_NONE;
  if (result == GATE_ERROR && is_cancelled) {
    session_cancelled(session, gate->cancelled_at);
    return;
  }
  if (result == GATE_OVERRUN) gate_keep_error(gate, state, 0, true);
  if (result == GATE_NO_MEMORY) snprintf(gate->error, sizeof gate->error, "not enough memory");
  gate->running->was_stopped = false;
  if (result == GATE_ERROR && session_fail_body(session)) return;
  session_fail(session, task_reason_of(result), gate->error);
}

/* Takes the results of the step's function, which are above TOP. */
static void finish(lua_State *state, const struct generation *generation, struct session *session,
                   enum session_step step) {
  switch (step) {
  case SESSION_ANSWER: finish_answer(state, generation, session); break;
  case SESSION_CONNECT: finish_connect(state, generation, session); break;
  case SESSION_EXPECT: finish_expect(state, generation, session); break;
  case SESSION_DATAGRAM:
    serve_datagram_response(state, generation, session, FUNCTION_MAKE_RESPONSE);
    session_answered(session, true);
    break;
  case SESSION_ERROR: finish_error(state, generation, session); break;
  case SESSION_PULL:
    pull_take_piece(state, session, &generation->script->gate.running->empty_pieces);
    break;
  default: break;
  }
}

static void pull(lua_State *state, const struct generation *generation, struct session *session) {
  struct memory *memory = &generation->script->memory;
  memory_use_server_reserve(memory, false);
  bool is_function = pull_push_function(state, session, blocksize_of(state, generation));
  memory_use_server_reserve(memory, true);
  if (!is_function) return;
  call(state, generation, 0, 1, SESSION_PULL);
  finish(state, generation, session, SESSION_PULL);
}

/* Does a step other than SESSION_ASK and SESSION_ANSWER. */
__attribute__((noinline)) static void do_step(lua_State *state, const struct generation *generation,
                                              struct session *session, enum session_step step) {
  switch (step) {
  case SESSION_PULL: pull(state, generation, session); return;
  case SESSION_CLOSE: begin_close(state, generation, session); return;
  case SESSION_CONNECT:
    push_function(state, generation, FUNCTION_HANDLE_CONNECT);
    call_with_self(state, generation, 1, step);
    break;
  case SESSION_EXPECT: begin_expect(state, generation, session); break;
  case SESSION_DATAGRAM:
    if (!serve_datagram_request(state, generation, session)) return;
    lua_pushvalue(state, MAKE_RESPONSE);
    call_with_self(state, generation, 1, step);
    break;
  default: begin_error(state, generation, session);
  }
  finish(state, generation, session, step);
}

static int next_entry(lua_State *state, int status, lua_KContext context);

/* Does the steps of the session until there is none. Then the task rests until the next entry. */
static int do_steps(lua_State *state, struct task *task, bool is_first) {
  const struct generation *generation = task->generation;
  struct session *session = task->session;
  uint32_t started = watchdog_restarted_at();
  for (;; is_first = false) {
    enum session_step step = session_next(session);
    if (step == SESSION_WAIT) {
      forget_request(state, session);
      break;
    }
    /* Each call has its own limit. */
    if (!is_first) watchdog_restart();
    if (step == SESSION_ASK && generation->is_connect_only) {
      session_set_verdict(session, SESSION_MALFORMED, 0,
                          "this version of the protocol takes no requests");
      continue;
    }
    bool is_complete = step == SESSION_ANSWER;
    if (step == SESSION_ASK)
      is_complete = ask(state, generation, session);
    else if (!is_complete)
      do_step(state, generation, session, step);
    if (is_complete) {
      begin_answer(state, generation, session);
      finish_answer(state, generation, session);
    }
    if (step == SESSION_CLOSE) break;
    lua_settop(state, TOP);
    if (task->owned) owned_end_all(&task->owned, false);
    if (watchdog_restarted_at() - started >= SHARE_OF_TIME) session_yield(session);
  }
  lua_settop(state, SELF - 1);
  return task_rest(state, task, next_entry);
}

static void check_tunnel(lua_State *state, const struct generation *generation, lua_KContext step) {
  enum function function =
      step == SESSION_CONNECT ? FUNCTION_HANDLE_CONNECT : FUNCTION_MAKE_RESPONSE;
  if (!lua_isnil(state, -1))
    tunnel_refuse_result(state, generation_push_place(state, generation, function));
}

/* The function of a step has waited and is back. */
static int go_on_after(lua_State *state, int status, lua_KContext step) {
  struct task *task = lua_touserdata(state, TASK);
  (void)status;
  memory_use_server_reserve(&task->generation->script->memory, true);
  if (task->cancel == CANCEL_RAISED) { /* A C function has caught the error of the cancel. */
    task->cancel = CANCEL_NONE;
    session_cancelled(task->session, task->gate->cancelled_at);
  } else {
    if (session_has_tunnel(task->session)) check_tunnel(state, task->generation, step);
    finish(state, task->generation, task->session, (enum session_step)step);
  }
  lua_settop(state, TOP);
  owned_end_all(&task->owned, false);
  return do_steps(state, task, false);
}

/* The loop of a task that serves: each entry does the steps of one session. */
static int next_entry(lua_State *state, int status, lua_KContext context) {
  struct task *task = lua_touserdata(state, TASK);
  const struct generation *generation = task->generation;
  (void)status, (void)context;
  /* For the whole entry: the gate takes it back. */
  memory_use_server_reserve(&generation->script->memory, true);
  client_push(state, task->session, generation->metatable);
  if (generation->number > 1) forget_other(state, generation, task->session);
  return do_steps(state, task, true);
}

static int loop(lua_State *state) {
  const struct task *task = lua_touserdata(state, TASK);
  const struct generation *generation = task->generation;
  memory_use_server_reserve(&generation->script->memory, true);
  luaL_checkstack(state, SLOTS, NULL);
  push_function(state, generation, FUNCTION_REQUEST_COMPLETE);
  push_function(state, generation, FUNCTION_MAKE_RESPONSE);
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->input_key);
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->close_key);
  return next_entry(state, LUA_OK, 0);
}

static int serve_again(lua_State *state, int status, lua_KContext context) {
  (void)status, (void)context;
  return serve_loop(state);
}

/* The loop never returns: so it has raised. The session has failed by that, and may have steps
 * left. */
static int after_loop(lua_State *state, int status, lua_KContext context) {
  struct task *task = lua_touserdata(state, TASK);
  (void)context;
  fail_step(state, task->generation, task->session, status);
  lua_settop(state, TASK);
  bool has_step =
      !session_is_at_close(task->session) && session_next(task->session) != SESSION_WAIT;
  if (!has_step) return task_rest(state, task, serve_again);
  watchdog_restart();
  return serve_loop(state);
}

/* A function of the script that raises has its variables closed here, where they may wait. */
int serve_loop(lua_State *state) {
  lua_pushcfunction(state, task_keep_error);
  lua_pushcfunction(state, loop);
  lua_pushvalue(state, TASK);
  return after_loop(state, lua_pcallk(state, 1, 0, TASK + 1, 0, after_loop), 0);
}
