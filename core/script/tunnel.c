#include "script/tunnel.h"

#include <lauxlib.h>

#include "script/discard.h"
#include "script/script_internal.h"
#include "script/stream_tap.h"
#include "script/stream_value.h"
#include "script/talk.h"
#include "script/task.h"
#include "session/session.h"
#include "session/steps.h"
#include "session/tunnel.h"

enum {
  PIECE = 16 * 1024,        /* Bytes that are copied at once. */
  TURN_BUDGET = 1024 * 1024 /* Bytes that go to the channel in a turn. */
};

/* The stack of tunnel(). */
enum { SELF = 1, STREAM, TUNNEL };

/* On the stack of its task, which waits until it has ended. */
struct tunnel {
  struct channel_user user;
  struct ready turn;
  struct session_joint joint; /* With the channel; NULL: the tunnel has ended. */
  struct task *task;
  struct session *session;
  uint32_t number;       /* What the tap of the session calls the stream. */
  bool is_tapped;        /* It is told of the stream. */
  struct buffer *input;  /* What the stream had read before. */
  struct buffer *output; /* What the stream had not sent yet. */
  bool cannot_send;      /* The channel only receives. */
  bool has_heard_all;    /* The channel has stopped sending. */
  bool is_joined;        /* The owner of the session moves the bytes. */
  bool is_copied;        /* The owner cannot. */
};

static struct tunnel *of_user(struct channel_user *user) {
  return (struct tunnel *)((char *)user - offsetof(struct tunnel, user));
}

static struct tunnel *of_turn(struct ready *turn) {
  return (struct tunnel *)((char *)turn - offsetof(struct tunnel, turn));
}

static const struct script *script_of(const struct tunnel *tunnel) {
  return tunnel->task->generation->script;
}

/* ---- bytes --------------------------------------------------------------------------------- */

static void tap(const struct tunnel *tunnel, enum tap_event event, struct span bytes) {
  if (tunnel->is_tapped) stream_tap_event(tunnel->session, tunnel->number, event, bytes);
}

/* What the stream has not sent goes first, then what the peer sends. STATUS_OK: all of it was sent.
 */
static enum status move_to_channel(struct tunnel *tunnel) {
  struct channel *channel = tunnel->joint.channel;
  for (size_t moved = 0; moved < TURN_BUDGET;) {
    struct span bytes =
        tunnel->output ? buffer_bytes(tunnel->output) : session_rest(tunnel->session);
    if (bytes.length == 0) return STATUS_OK;
    size_t sent = 0;
    enum status status = channel->class->send(channel, bytes.data, bytes.length, &sent);
    if (status != STATUS_OK) return status;
    int64_t now = script_now(script_of(tunnel));
    if (tunnel->output) {
      buffer_consume(&tunnel->output, sent);
      session_note_tunneled(tunnel->session, now);
    } else {
      tap(tunnel, TAP_SENDS, (struct span){bytes.data, sent});
      session_tunnel_take(tunnel->session, sent, now);
      tunnel->joint.from_peer += sent;
    }
    if (sent < bytes.length) return STATUS_AGAIN;
    moved += sent;
  }
  return STATUS_AGAIN;
}

static enum status send_to_peer(struct tunnel *tunnel, struct span bytes) {
  enum status status =
      session_tunnel_send(tunnel->session, bytes.data, bytes.length, script_now(script_of(tunnel)));
  if (status == STATUS_OK) tunnel->joint.to_peer += bytes.length;
  return status;
}

static bool has_room(const struct tunnel *tunnel) {
  return session_unsent(tunnel->session) < SESSION_HIGH_WATER;
}

/* What the stream has read goes first, then what the channel brings. STATUS_CLOSED: that was all.
 */
static enum status move_to_peer(struct tunnel *tunnel) {
  struct channel *channel = tunnel->joint.channel;
  char piece[PIECE];
  struct span bytes = buffer_bytes(tunnel->input);
  if (bytes.length > 0 && send_to_peer(tunnel, bytes) != STATUS_OK) return STATUS_NO_MEMORY;
  buffer_free(&tunnel->input);
  while (has_room(tunnel)) {
    if (tunnel->has_heard_all) return STATUS_CLOSED;
    bytes = (struct span){.data = piece};
    enum status status = channel->class->receive(channel, piece, sizeof piece, &bytes.length);
    if (status == STATUS_OK) {
      tap(tunnel, TAP_RECEIVES, bytes);
      status = send_to_peer(tunnel, bytes);
    } else if (status == STATUS_CLOSED) {
      tap(tunnel, TAP_ENDS, (struct span){NULL, 0});
      tunnel->has_heard_all = true;
    } else if (status == STATUS_ERROR)
      tap(tunnel, TAP_BREAKS, (struct span){NULL, 0});
    if (status != STATUS_OK) return status;
  }
  return STATUS_AGAIN;
}

/* ---- turns --------------------------------------------------------------------------------- */

static void pass_ends(struct tunnel *tunnel, enum status to_channel, enum status to_peer) {
  struct session_joint *joint = &tunnel->joint;
  bool peer_ends = to_channel == STATUS_OK && session_has_heard_all(tunnel->session);
  if (peer_ends && !joint->has_passed_peer_end) {
    joint->has_passed_peer_end = true;
    joint->channel->class->shutdown(joint->channel);
  }
  if (to_peer == STATUS_CLOSED && !joint->has_passed_channel_end) {
    joint->has_passed_channel_end = true;
    session_end_sending(tunnel->session);
  }
}

static bool has_ended(const struct tunnel *tunnel) {
  const struct session_joint *joint = &tunnel->joint;
  return joint->has_passed_peer_end && joint->has_passed_channel_end &&
         session_unsent(tunnel->session) == 0 && channel_held(joint->channel) == 0;
}

/* Nothing is left to be moved that only the session has. */
static bool join(struct tunnel *tunnel) {
  struct session *session = tunnel->session;
  if (tunnel->is_copied || tunnel->output || tunnel->cannot_send) return false;
  if (session_unsent(session) > 0 || session_rest(session).length > 0) return false;
  tunnel->is_joined = session_join(session, &tunnel->joint);
  tunnel->is_copied = !tunnel->is_joined;
  return tunnel->is_joined;
}

static void move(struct tunnel *tunnel) {
  struct channel *channel = tunnel->joint.channel;
  enum status to_channel = tunnel->cannot_send ? STATUS_AGAIN : move_to_channel(tunnel);
  enum status to_peer = move_to_peer(tunnel);
  bool is_broken = to_channel == STATUS_ERROR || to_peer == STATUS_ERROR;
  if (is_broken || to_peer == STATUS_NO_MEMORY) {
    channel->class->watch(channel, CHANNEL_NONE);
    session_break_tunnel(tunnel->session, is_broken);
    return;
  }
  pass_ends(tunnel, to_channel, to_peer);
  if (has_ended(tunnel)) {
    channel->class->watch(channel, CHANNEL_NONE);
    task_wake(tunnel->task, 0);
    return;
  }
  if (join(tunnel)) return;
  bool reads = !tunnel->has_heard_all && has_room(tunnel);
  bool writes = !tunnel->cannot_send && (to_channel == STATUS_AGAIN || channel_held(channel) > 0);
  channel->class->watch(channel, (reads ? CHANNEL_READ : 0U) | (writes ? CHANNEL_WRITE : 0U));
}

static void go_on(struct tunnel *tunnel) {
  const struct session_joint *joint = &tunnel->joint;
  if (!tunnel->is_joined)
    move(tunnel);
  else if (joint->has_passed_peer_end && joint->has_passed_channel_end)
    task_wake(tunnel->task, 0);
}

static void on_ready(struct channel_user *user, unsigned events) {
  (void)events;
  go_on(of_user(user));
}

static void take_turn(struct ready *turn) { go_on(of_turn(turn)); }

void tunnel_on_progress(struct task *task) {
  if (task->state == TASK_WAITING) go_on(task->waits_for);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void end(struct tunnel *tunnel, bool reset) {
  struct channel *channel = tunnel->joint.channel;
  if (tunnel->is_joined) session_part(tunnel->session);
  tunnel->joint.channel = NULL;
  ready_remove(&script_of(tunnel)->world->ready, &tunnel->turn);
  buffer_free(&tunnel->input);
  buffer_free(&tunnel->output);
  channel->class->close(channel, reset);
}

/* What was begun cannot be left: both ends are torn down. */
static void undo(struct task *task) {
  struct tunnel *tunnel = task->waits_for;
  if (!tunnel->joint.channel) return;
  end(tunnel, true);
  session_break_tunnel(tunnel->session, false);
}

static int finish(lua_State *state, int status, lua_KContext context) {
  struct tunnel *tunnel = lua_touserdata(state, TUNNEL);
  (void)status, (void)context;
  if (tunnel->joint.channel) {
    end(tunnel, false);
    session_end_tunnel(tunnel->session);
  }
  task_check_cancel(state);
  lua_pushinteger(state, (lua_Integer)tunnel->joint.from_peer);
  lua_pushinteger(state, (lua_Integer)tunnel->joint.to_peer);
  return 2;
}

/* ---- the beginning ------------------------------------------------------------------------- */

/* The stream is closed for the script from now on. A pipe that only goes one way says so. */
static void take_stream(struct tunnel *tunnel, struct stream *stream) {
  tunnel->input = stream->input;
  tunnel->output = stream->output;
  stream->input = stream->output = NULL;
  tunnel->cannot_send = stream->cannot_send;
  tunnel->has_heard_all = stream->end == READING_ENDED;
  tunnel->joint.has_passed_peer_end = stream->cannot_send;
  tunnel->joint.channel = stream_take_channel(stream);
  tunnel->joint.channel->user = &tunnel->user;
}

/* Returns the stream at its index; NULL: what is to be returned instead is on the top. */
static struct stream *check_stream(lua_State *state) {
  struct stream *stream = stream_value_check_whole(state, STREAM, "tunnel");
  if (stream->reader || stream->writer || stream->connector)
    luaL_error(state, "another task uses the stream");
  if (stream->is_closed || !stream->channel || stream->wants_shutdown) {
    task_push_failure(state, "closed");
    return NULL;
  }
  if (stream->end != READING_BROKEN && (!stream->cannot_send || stream->whole)) return stream;
  lua_pushnil(state);
  lua_pushliteral(state, "the connection was reset");
  lua_pushliteral(state, "reset");
  return NULL;
}

/* parlance.tunnel(self, stream) */
static int start(lua_State *state) {
  luaL_checktype(state, SELF, LUA_TTABLE);
  lua_settop(state, STREAM);
  struct tunnel *tunnel = lua_newuserdatauv(state, sizeof *tunnel, 0);
  struct task *task = task_begin_wait(state, "parlance.tunnel");
  if (!task) return 3;
  struct session *session = talk_check_behind_body(state, task, "parlance.tunnel");
  if (!session) return task_push_failure(state, "closed");
  struct stream *stream = check_stream(state);
  if (!stream) return 3;
  *tunnel = (struct tunnel){
      .user.on_ready = on_ready, .turn.run = take_turn, .task = task, .session = session};
  stream_tap_use(stream, task);
  tunnel->number = stream->number;
  tunnel->is_tapped = stream->session == session;
  take_stream(tunnel, stream);
  session_begin_tunnel(session);
  task->waits_for = tunnel;
  ready_add(&script_of(tunnel)->world->ready, &tunnel->turn);
  return task_wait_then(state, task, undo, finish);
}

int tunnel_refuse_result(lua_State *state, const char *place) {
  discard_response(state, lua_gettop(state) - 1, 0);
  return luaL_error(state,
                    "%s returned a %s behind parlance.tunnel, which is the last thing on a "
                    "connection: only nil may be returned",
                    place, luaL_typename(state, -2));
}

void tunnel_install(lua_State *state) {
  lua_pushcfunction(state, start);
  lua_setfield(state, -2, "tunnel");
}
