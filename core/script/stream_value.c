#include "script/stream_value.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "script/finalizers.h"
#include "script/gate.h"
#include "script/kept.h"
#include "script/script_internal.h"
#include "script/stream_tap.h"
#include "script/task.h"

static const char class_name[] = "parlance.stream";

/* The userdata says with its address what it is: comparing metatables would cost more. */
static const char class_key;

struct stream_value {
  const char *class;     /* &class_key */
  struct stream *stream; /* NULL: it was collected. */
};

enum { BACKGROUND_TIMEOUT = 60000 /* ms that a background task waits for a stream. */ };

static const double longest = 1e9; /* Seconds. */

struct stream *stream_value_push(lua_State *state, struct script *script, const char *address) {
  struct stream_value *value = lua_newuserdatauv(state, sizeof *value, 0);
  *value = (struct stream_value){.class = &class_key};
  lua_rawgeti(state, LUA_REGISTRYINDEX, script->stream_metatable);
  lua_setmetatable(state, -2);
  value->stream = stream_create(script, address);
  if (!value->stream) gate_raise_no_memory(state);
  return value->stream;
}

/* What stands there is known to be a stream. */
static struct stream_value *value_at(lua_State *state, int index) {
  return lua_touserdata(state, index);
}

struct stream *stream_value_test(lua_State *state, int index) {
  const struct stream_value *value = lua_touserdata(state, index);
  /* A light userdata has no length, and only a userdata of this length has a class. */
  if (!value || lua_rawlen(state, index) != sizeof *value || value->class != &class_key)
    return NULL;
  return value->stream;
}

struct stream *stream_value_check(lua_State *state, int index) {
  struct stream *stream = stream_value_test(state, index);
  if (!stream) luaL_typeerror(state, index, class_name);
  return stream;
}

struct stream *stream_value_check_whole(lua_State *state, int index, const char *name) {
  struct stream *stream = stream_value_check(state, index);
  if (stream->kind == STREAM_BODY)
    luaL_error(state, "the body of a request can only be read: it has no %s", name);
  return stream;
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* When a wait that begins now is to end. */
static int64_t deadline_of(const struct stream *stream, const struct task *task) {
  int64_t timeout = stream->timeout;
  if (timeout == STREAM_NO_TIMEOUT_SET) timeout = task->session ? 0 : BACKGROUND_TIMEOUT;
  return timeout > 0 ? script_now(stream->script) + timeout : CLOCK_NEVER;
}

/* Sets the timer of a wait. Raises if there is no memory: nothing has begun then. */
static void set_timer(lua_State *state, const struct stream *stream, struct task *task,
                      int64_t until) {
  if (until == CLOCK_NEVER) return;
  if (timer_set(&stream->script->world->timers, &task->timer, until) != STATUS_OK)
    gate_raise_no_memory(state);
}

static bool is_over(const struct stream *stream, int64_t until) {
  return until != CLOCK_NEVER && script_now(stream->script) >= until;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Index 1 is the stream, index 2 what is read. */
static int read_on(lua_State *state, struct stream *stream, struct task *task);

static void undo_read(struct task *task) {
  struct stream *stream = task->waits_for;
  stream_end_wait(stream);
  stream->is_cut = true;
}

static int read_again(lua_State *state, int status, lua_KContext top) {
  struct stream *stream = value_at(state, 1)->stream;
  (void)status;
  (void)top;
  stream_end_wait(stream);
  task_check_cancel(state);
  return read_on(state, stream, gate_of(state)->running);
}

static int wait_for_bytes(lua_State *state, struct stream *stream, struct task *task) {
  set_timer(state, stream, task, stream->read_until);
  task->waits_for = stream;
  stream_await(stream, task);
  return task_wait_then(state, task, undo_read, read_again);
}

/* Until the value is there the stream counts as cut, so that a finalizer that runs meanwhile does
 * not give it back. The bytes stay where they are: a turn alone takes them away. */
static int finish_read(lua_State *state, struct stream *stream,
                       const struct reading_answer *answer) {
  bool was_cut = stream->is_cut;
  stream->is_cut = true;
  reading_push(state, 2, &stream->reading, answer);
  stream->is_cut = was_cut;
  bool was_full = buffer_bytes(stream->input).length > 0 && !(stream->interest & CHANNEL_READ) &&
                  stream->kind != STREAM_BODY;
  buffer_consume(&stream->input, answer->length);
  if (was_full) stream_note(stream);
  return 1;
}

static enum reading_result look(struct stream *stream, struct reading_answer *answer) {
  enum reading_result result;
  do {
    struct span input = buffer_bytes(stream->input);
    result = reading_look(&stream->reading, input, stream->end, answer);
  } while (result == READING_PARTIAL && stream_receive_now(stream));
  bool is_broken = result == READING_FAILED && stream->end == READING_BROKEN;
  if (is_broken && stream->fault && strcmp(answer->code, "reset") == 0) {
    answer->code = stream->fault;
    answer->why = stream->fault_why;
  }
  return result;
}

static int read_on(lua_State *state, struct stream *stream, struct task *task) {
  struct reading_answer answer = {0};
  if (stream->is_closed) return task_push_failure(state, "closed");
  switch (look(stream, &answer)) {
  case READING_DONE: return finish_read(state, stream, &answer);
  case READING_FAILED:
    stream->is_cut = true;
    return reading_push_failure(state, &stream->reading, &answer);
  default: break;
  }
  if (!is_over(stream, stream->read_until)) return wait_for_bytes(state, stream, task);
  stream->is_cut = true;
  return task_push_failure(state, "timeout");
}

/* What is read or written now must not be plain by chance. */
static int push_begins_tls(lua_State *state) {
  return luaL_error(state, "another task begins TLS on the stream");
}

static int begin_read(lua_State *state, struct stream *stream, const struct reading *reading,
                      const char *name) {
  struct task *task = task_begin_wait(state, name);
  if (!task) return 3;
  if (stream->is_closed) return task_push_failure(state, "closed");
  if (stream->reader) return luaL_error(state, "another task reads from the stream");
  if (stream->connector) return push_begins_tls(state);
  stream_tap_use(stream, task);
  stream->reading = *reading;
  stream->read_until = deadline_of(stream, task);
  return read_on(state, stream, task);
}

static void check_count(lua_State *state, int most, const char *complaint) {
  if (lua_gettop(state) > most) luaL_argerror(state, most + 1, complaint);
}

/* stream:read(what) */
int stream_value_read(lua_State *state) {
  struct reading reading;
  struct stream *stream = stream_value_check(state, 1);
  check_count(state, 2, "one thing is read at a time");
  lua_settop(state, 2);
  reading_take(state, 2, &reading);
  return begin_read(state, stream, &reading, "stream:read");
}

/* stream:peek(count) */
static int stream_peek(lua_State *state) {
  struct reading reading;
  struct stream *stream = stream_value_check(state, 1);
  lua_settop(state, 2);
  reading_take_peek(state, 2, &reading);
  return begin_read(state, stream, &reading, "stream:peek");
}

/* nil, why and a code were returned. The end, or a cancel, ends the loop. Everything else is an
 * error, as in Lua's own lines(). */
static int end_lines(lua_State *state) {
  const char *code = lua_tostring(state, -1);
  if (strcmp(code, "closed") != 0 && strcmp(code, "cancelled") != 0)
    return luaL_error(state, "stream:lines: %s", lua_tostring(state, -2));
  lua_pushnil(state);
  return 1;
}

static int read_line_again(lua_State *state, int status, lua_KContext base) {
  (void)status;
  return lua_gettop(state) - (int)base == 3 ? end_lines(state) : 1;
}

/* The upvalues are the stream and what is read. */
static int read_line(lua_State *state) {
  lua_settop(state, 0);
  lua_pushcfunction(state, stream_value_read);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_pushvalue(state, lua_upvalueindex(2));
  lua_callk(state, 2, LUA_MULTRET, 0, read_line_again);
  return read_line_again(state, LUA_OK, 0);
}

/* stream:lines(what) */
static int stream_lines(lua_State *state) {
  struct reading reading;
  stream_value_check(state, 1);
  check_count(state, 2, "one thing is read at a time");
  lua_settop(state, 2);
  reading_take(state, 2, &reading);
  lua_pushcclosure(state, read_line, 2);
  return 1;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int push_reset(lua_State *state) {
  lua_pushnil(state);
  lua_pushliteral(state, "the connection was reset");
  lua_pushliteral(state, "reset");
  return 3;
}

/* An earlier write has timed out. More of them must not grow without bound. */
static int push_full(lua_State *state) {
  lua_pushnil(state);
  lua_pushliteral(state, "too many bytes of earlier writes are unsent");
  lua_pushliteral(state, "full");
  return 3;
}

static void undo_write(struct task *task) {
  struct stream *stream = task->waits_for;
  stream->writer = NULL;
  stream->is_cut = true;
}

static int write_on(lua_State *state, struct stream *stream, struct task *task, size_t most);

static int write_again(lua_State *state, int status, lua_KContext top) {
  struct stream *stream = value_at(state, 1)->stream;
  (void)status;
  (void)top;
  stream->writer = NULL;
  task_check_cancel(state);
  return write_on(state, stream, gate_of(state)->running, STREAM_LOW_WATER);
}

/* Waits while more than `most` is unsent. */
static int write_on(lua_State *state, struct stream *stream, struct task *task, size_t most) {
  if (stream->is_closed) return task_push_failure(state, "closed");
  if (stream->cannot_send) return push_reset(state);
  if (buffer_bytes(stream->output).length <= most) {
    lua_pushvalue(state, 1);
    return 1;
  }
  if (is_over(stream, stream->write_until)) {
    stream->is_cut = true;
    return task_push_failure(state, "timeout");
  }
  set_timer(state, stream, task, stream->write_until);
  task->waits_for = stream;
  stream->writer = task;
  return task_wait_then(state, task, undo_write, write_again);
}

/* All of it, or nothing. */
static enum status queue(lua_State *state, struct stream *stream, int count) {
  struct span space;
  size_t all = 0, length;
  for (int i = 2; i <= count; i++) all += lua_rawlen(state, i);
  if (all == 0) return STATUS_OK;
  enum status status = buffer_reserve(&stream->output, all, &space);
  for (int i = 2; i <= count && status == STATUS_OK; i++) {
    const char *bytes = lua_tolstring(state, i, &length);
    status = buffer_append(&stream->output, bytes, length);
  }
  return status;
}

/* stream:write(...) */
static int stream_write(lua_State *state) {
  struct stream *stream = stream_value_check_whole(state, 1, "write");
  int count = lua_gettop(state);
  for (int i = 2; i <= count; i++)
    luaL_checklstring(state, i, NULL); /* Makes strings of numbers. */
  struct task *task = task_begin_wait(state, "stream:write");
  if (!task) return 3;
  if (stream->is_closed || stream->wants_shutdown) return task_push_failure(state, "closed");
  if (stream->cannot_send) return push_reset(state);
  if (stream->writer) return luaL_error(state, "another task writes to the stream");
  if (stream->connector) return push_begins_tls(state);
  if (buffer_bytes(stream->output).length > STREAM_HIGH_WATER) return push_full(state);
  size_t before = buffer_bytes(stream->output).length;
  if (queue(state, stream, count) != STATUS_OK) return gate_raise_no_memory(state);
  struct span queued = buffer_bytes(stream->output);
  stream_tap_use(stream, task);
  stream_tap(stream, TAP_SENDS, (struct span){queued.data + before, queued.length - before});
  stream->write_until = deadline_of(stream, task);
  stream_note(stream);
  return write_on(state, stream, task, STREAM_HIGH_WATER);
}

/* ---- what does not wait -------------------------------------------------------------------- */

/* stream:set_timeout(seconds) */
static int set_timeout(lua_State *state) {
  struct stream *stream = stream_value_check(state, 1);
  double seconds = luaL_checknumber(state, 2);
  luaL_argcheck(state, seconds >= 0 && seconds <= longest, 2,
                "must be a number of seconds from 0 to 1e9");
  stream->timeout = (int64_t)ceil(seconds * 1000);
  return 0;
}

/* stream:shutdown() */
static int stream_shutdown(lua_State *state) {
  struct stream *stream = stream_value_check_whole(state, 1, "shutdown");
  if (stream->is_closed) return task_push_failure(state, "closed");
  if (stream->connector) return push_begins_tls(state);
  stream->wants_shutdown = true;
  stream_note(stream);
  lua_pushboolean(state, true);
  return 1;
}

/* What a cancelled task closes is dropped. */
static void close_for(const struct task *task, struct stream *stream) {
  if (task && task->cancel == CANCEL_RAISED)
    stream_drop(stream);
  else
    stream_close(stream);
}

/* stream:close(), and the end of a <close> variable. */
static int close_stream(lua_State *state) {
  close_for(gate_of(state)->running, stream_value_check(state, 1));
  lua_pushboolean(state, true);
  return 1;
}

/* stream:detach() */
static int detach(lua_State *state) {
  struct stream *stream = stream_value_check_whole(state, 1, "detach");
  if (stream->is_closed) return task_push_failure(state, "closed");
  owned_take(&stream->owned);
  stream->is_detached = true;
  lua_settop(state, 1);
  return 1;
}

/* Why the channel cannot be used again; NULL: it can. Behind a cancel a reply may still come. */
static const char *find_rest(const struct gate *gate, struct stream *stream) {
  if (stream->is_closed) return "closed";
  if (task_is_unwinding(gate)) return "the task was cancelled";
  if (stream->reader || stream->writer || stream->connector) return "a task waits for the stream";
  if (stream->is_cut) return "a read or a write was cut short";
  if (stream->wants_shutdown) return "sending was ended";
  if (stream->input) return "bytes are unread";
  stream_flush(stream);
  if (stream->output || (stream->channel && channel_held(stream->channel) > 0))
    return "bytes are unsent";
  if (stream->began_plain) return "TLS began behind plain bytes";
  return stream->end == READING_OPEN && !stream->cannot_send ? NULL : "the connection has ended";
}

/* stream:release() */
static int release(lua_State *state) {
  struct stream *stream = stream_value_check_whole(state, 1, "release");
  const char *why = find_rest(gate_of(state), stream);
  if (why)
    close_for(gate_of(state)->running, stream);
  else if (!kept_give(stream))
    why = "the connection has ended";
  lua_pushboolean(state, !why);
  if (!why) return 1;
  lua_pushstring(state, why);
  return 2;
}

/* A script may have got hold of this function and call it itself. */
static int collect(lua_State *state) {
  struct stream *stream = stream_value_test(state, 1);
  struct log_line line;
  if (!stream) return 0;
  if (!finalizers_are_running(state)) {
    stream_close(stream);
    return 0;
  }
  value_at(state, 1)->stream = NULL;
  if (stream->is_detached && !stream->is_closed &&
      gate_begin_notice(&stream->script->gate, &line, "stream_collected")) {
    log_text(&line, "address", stream->address);
    log_text(&line, "detail", "a detached stream was not closed before nothing referred to it");
    log_end(&line);
  }
  stream_forget_value(stream);
  return 0;
}

static int describe(lua_State *state) {
  const struct stream *stream = stream_value_check(state, 1);
  lua_pushfstring(state, "stream (%s%s)", stream->address, stream->is_closed ? ", closed" : "");
  return 1;
}

static void push_address(lua_State *state, const struct stream *stream, enum channel_end end) {
  const struct channel *channel = stream->is_closed ? NULL : stream->channel;
  char text[CHANNEL_ADDRESS_MAX];
  if (channel && channel->class->address && channel->class->address(channel, end, text))
    lua_pushstring(state, text);
  else
    lua_pushnil(state);
}

/* __index(stream, key). The upvalue is the table of methods. */
static int index_stream(lua_State *state) {
  lua_pushvalue(state, 2);
  if (lua_rawget(state, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  const struct stream *stream = stream_value_check(state, 1);
  const char *name = lua_type(state, 2) == LUA_TSTRING ? lua_tostring(state, 2) : "";
  if (strcmp(name, "reused") == 0) {
    lua_pushboolean(state, stream->is_reused);
    return 1;
  }
  if (strcmp(name, "tls") == 0) {
    stream_tls_push(state, stream);
    return 1;
  }
  if (strcmp(name, "peer_address") == 0 || strcmp(name, "own_address") == 0) {
    push_address(state, stream, *name == 'p' ? CHANNEL_PEER : CHANNEL_OWN_END);
    return 1;
  }
  return 0;
}

void stream_value_install(lua_State *state) {
  static const luaL_Reg methods[] = {{"read", stream_value_read},
                                     {"peek", stream_peek},
                                     {"lines", stream_lines},
                                     {"write", stream_write},
                                     {"set_timeout", set_timeout},
                                     {"shutdown", stream_shutdown},
                                     {"close", close_stream},
                                     {"detach", detach},
                                     {"release", release},
                                     {"start_tls", stream_tls_start},
                                     {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", collect}, {"__close", close_stream}, {"__tostring", describe}, {NULL, NULL}};
  lua_newtable(state);
  luaL_setfuncs(state, events, 0);
  luaL_newlib(state, methods);
  lua_pushcclosure(state, index_stream, 1);
  lua_setfield(state, -2, "__index");
  lua_pushstring(state, class_name);
  lua_setfield(state, -2, "__name");
  script_of_state(state)->stream_metatable = luaL_ref(state, LUA_REGISTRYINDEX);
}
