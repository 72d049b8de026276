#include "script/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/script_internal.h"
#include "script/stream_tap.h"
#include "script/task.h"

enum {
  LINGER_TIME = 10000,         /* ms that a closed stream has for its output. */
  DISCARDED_MAX = 1024 * 1024, /* Bytes that a closed stream takes from a peer that goes on. */
  READ_AHEAD = 64 * 1024,      /* Without a reader no more bytes than these are read. */
  ROOM_MIN = 4096,             /* The least and the most bytes of one read. */
  ROOM_MAX = 64 * 1024,
  TURN_BUDGET = 4 * 1024 * 1024, /* Bytes that a stream may send in a turn. */
};

static struct stream *of_user(struct channel_user *user) {
  return (struct stream *)((char *)user - offsetof(struct stream, user));
}

static struct stream *of_turn(struct ready *turn) {
  return (struct stream *)((char *)turn - offsetof(struct stream, turn));
}

static struct stream *of_timer(struct timer *timer) {
  return (struct stream *)((char *)timer - offsetof(struct stream, linger));
}

/* ---- the end ------------------------------------------------------------------------------- */

static void unlink_and_free(struct stream *stream) {
  struct script *script = stream->script;
  ready_remove(&script->world->ready, &stream->turn);
  timer_cancel(&script->world->timers, &stream->linger);
  if (stream->previous)
    stream->previous->next = stream->next;
  else
    script->streams = stream->next;
  if (stream->next) stream->next->previous = stream->previous;
  buffer_free(&stream->input);
  buffer_free(&stream->output);
  stream_tls_free(script, stream->tls);
  if (stream->whole) stream->whole->on_freed(stream->whole, stream);
  memory_give(&script->memory, stream, sizeof *stream + strlen(stream->address) + 1);
}

static bool is_unused(const struct stream *stream) {
  return !stream->has_value && !stream->channel && !stream->asked.attempt;
}

static void end_channel(struct stream *stream, bool reset) {
  struct channel *channel = stream->channel;
  stream->channel = NULL;
  timer_cancel(&stream->script->world->timers, &stream->linger);
  buffer_free(&stream->output);
  if (channel) channel->class->close(channel, reset);
}

static void cancel_connect(struct stream *stream) {
  const struct network *network = stream->script->world->network;
  if (stream->asked.attempt && network) network->cancel_connect(&stream->asked);
}

/* ---- bytes --------------------------------------------------------------------------------- */

void stream_flush(struct stream *stream) {
  size_t budget = TURN_BUDGET;
  while (stream->output && budget > 0 && stream->channel) {
    struct span left = buffer_bytes(stream->output);
    size_t sent = 0;
    enum status status =
        stream->channel->class->send(stream->channel, left.data, left.length, &sent);
    if (status == STATUS_AGAIN) return;
    if (status != STATUS_OK) {
      stream->cannot_send = true;
      buffer_free(&stream->output);
      return;
    }
    stream->has_sent = true;
    buffer_consume(&stream->output, sent);
    if (sent < left.length) return;
    budget -= sent < budget ? sent : budget;
  }
}

static void note_end(struct stream *stream, enum status status) {
  bool is_new = stream->end == READING_OPEN && !stream->is_closed;
  if (is_new && (status == STATUS_CLOSED || status == STATUS_ERROR))
    stream_tap(stream, status == STATUS_CLOSED ? TAP_ENDS : TAP_BREAKS, (struct span){NULL, 0});
  if (status == STATUS_CLOSED) stream->end = READING_ENDED;
  if (status == STATUS_ERROR || status == STATUS_NO_MEMORY) stream->end = READING_BROKEN;
  if (status == STATUS_ERROR) stream->cannot_send = true;
  if (is_new && status == STATUS_ERROR && stream->channel->class->why && !stream->fault) {
    stream->fault_why = stream->channel->class->why(stream->channel);
    stream->fault = stream->fault_why ? "reset" : NULL;
  }
}

/* What comes for a closed stream is read, because a socket that is closed with unread bytes is
 * reset, and then the peer may lose what it was sent last. */
static void discard(struct stream *stream) {
  char bytes[4096];
  size_t length;
  enum status status =
      stream->channel->class->receive(stream->channel, bytes, sizeof bytes, &length);
  if (status == STATUS_OK) stream->discarded += length;
  if (stream->discarded > DISCARDED_MAX) stream->is_dropped = true;
  note_end(stream, status);
}

/* A small read goes over the stack, so that the buffer is no larger than what came. */
static enum status receive_little(struct stream *stream, size_t *length) {
  char bytes[ROOM_MIN];
  enum status status =
      stream->channel->class->receive(stream->channel, bytes, sizeof bytes, length);
  if (status != STATUS_OK) return status;
  return buffer_append(&stream->input, bytes, *length);
}

static enum status receive_much(struct stream *stream, size_t *length) {
  struct span space;
  enum status status = buffer_reserve(&stream->input, stream->room, &space);
  if (status != STATUS_OK) return status;
  status =
      stream->channel->class->receive(stream->channel, (char *)space.data, stream->room, length);
  if (status == STATUS_OK) buffer_commit(stream->input, *length);
  if (buffer_bytes(stream->input).length == 0) buffer_free(&stream->input);
  return status;
}

/* The room follows the bytes that come. */
static void receive(struct stream *stream) {
  size_t length = 0, room = stream->room;
  enum status status = (room == ROOM_MIN ? receive_little : receive_much)(stream, &length);
  if (status == STATUS_OK) {
    struct span input = buffer_bytes(stream->input);
    stream_tap(stream, TAP_RECEIVES, (struct span){input.data + input.length - length, length});
    if (length == room && room < ROOM_MAX) stream->room = room * 2;
    if (length < room / 4 && room > ROOM_MIN) stream->room = room / 2;
  }
  stream->is_drained = length < room;
  note_end(stream, status);
}

bool stream_receive_now(struct stream *stream) {
  if (stream->kind != STREAM_BODY || !stream->channel || stream->end != READING_OPEN) return false;
  size_t before = buffer_bytes(stream->input).length;
  receive(stream);
  return stream->end != READING_OPEN || buffer_bytes(stream->input).length > before;
}

/* ---- turns --------------------------------------------------------------------------------- */

static bool can_go_on(struct stream *stream) {
  struct reading_answer answer;
  if (stream->is_closed) return true;
  return reading_look(&stream->reading, buffer_bytes(stream->input), stream->end, &answer) !=
         READING_PARTIAL;
}

/* A body takes nothing that its reader does not need, so that it does not depend on how bytes come
 * whether the reader has seen the end. */
static bool reads_ahead(struct stream *stream) {
  if (stream->kind == STREAM_BODY) return stream->reader && !can_go_on(stream);
  return stream->is_closed || stream->reader || buffer_bytes(stream->input).length < READ_AHEAD;
}

static unsigned interest_of(struct stream *stream) {
  bool reads = stream->end == READING_OPEN && reads_ahead(stream);
  bool writes = stream->output || channel_held(stream->channel) > 0;
  return (reads ? CHANNEL_READ : 0U) | (writes ? CHANNEL_WRITE : 0U);
}

static void watch(struct stream *stream) {
  stream->interest = interest_of(stream) & 3;
  stream->channel->class->watch(stream->channel, stream->interest);
}

/* What a closed stream has written goes out first. Then it is told to the peer that this is the
 * end, and the peer may go on until it has seen that. */
static bool has_ended(const struct stream *stream) {
  if (stream->is_dropped) return true;
  if (!stream->is_closed || stream->output) return false;
  if (channel_held(stream->channel) > 0) return false;
  return stream->end != READING_OPEN || stream->cannot_send || !stream->has_sent;
}

/* ---- TLS ----------------------------------------------------------------------------------- */

static void note_error(struct stream *stream, enum network_error error, const char *why) {
  char *into = stream->tls ? stream->tls->why : stream->why;
  size_t size = stream->tls ? sizeof stream->tls->why : sizeof stream->why;
  size_t length = strnlen(why, size - 1);
  stream->error = error & 0xff;
  memcpy(into, why, length);
  into[length] = '\0';
}

static void begin_handshake(struct stream *stream) {
  struct network *network = stream->script->world->network;
  stream->tls_phase = STREAM_TLS_HANDSHAKE;
  stream->channel->user = NULL;
  network->start_tls(network, stream->channel, &stream->tls->options, &stream->asked);
}

/* Bytes that have come before the handshake may be anybody's, and must not be taken for secure
 * ones. */
static void begin_behind_plain(struct stream *stream) {
  char byte;
  size_t length;
  bool has_come = buffer_bytes(stream->input).length > 0;
  struct channel *channel = stream->channel;
  enum status status = has_come ? STATUS_OK : channel->class->receive(channel, &byte, 1, &length);
  stream->began_plain = true;
  if (status == STATUS_AGAIN && stream->end == READING_OPEN && !stream->cannot_send) {
    begin_handshake(stream);
    return;
  }
  stream->tls_phase = STREAM_TLS_HANDSHAKE;
  note_error(stream, NETWORK_HANDSHAKE,
             status == STATUS_OK ? "TLS: the peer has sent plain bytes before the handshake"
                                 : "TLS: the peer has closed the connection");
  if (stream->connector) task_wake(stream->connector, 0);
}

/* Whether the channel is not the stream's to use now. A handshake that has failed may have left an
 * alert for the peer, so that its channel is not reset. */
static bool is_in_handshake(struct stream *stream) {
  if (stream->tls_phase == STREAM_TLS_ASKED && !stream->is_closed && !stream->output)
    begin_behind_plain(stream);
  if (stream->tls_phase != STREAM_TLS_HANDSHAKE) return false;
  if (stream->is_closed) end_channel(stream, stream->error == NETWORK_OK);
  return true;
}

static void use_channel(struct stream *stream) {
  if (!stream->is_dropped && stream->tls_phase != STREAM_TLS_HANDSHAKE) stream_flush(stream);
  if (is_in_handshake(stream)) return;
  if (has_ended(stream)) {
    end_channel(stream, stream->is_dropped);
    return;
  }
  bool wants_shutdown = stream->wants_shutdown || stream->is_closed;
  if (wants_shutdown && !stream->output && !stream->is_shut) {
    stream->is_shut = true;
    stream->channel->class->shutdown(stream->channel);
  }
  watch(stream);
}

static bool has_room(const struct stream *stream) {
  return stream->is_closed || stream->cannot_send ||
         buffer_bytes(stream->output).length <= STREAM_LOW_WATER;
}

static void settle(struct stream *stream) {
  if (stream->is_closed) cancel_connect(stream);
  if (stream->channel) use_channel(stream);
  if (stream->connector && stream->is_closed) task_wake(stream->connector, 0);
  if (stream->reader && can_go_on(stream)) task_wake(stream->reader, 0);
  if (stream->writer && has_room(stream)) task_wake(stream->writer, 0);
  if (is_unused(stream)) unlink_and_free(stream);
}

static void take_turn(struct ready *turn) { settle(of_turn(turn)); }

static void on_ready(struct channel_user *user, unsigned events) {
  struct stream *stream = of_user(user);
  if (stream->kind == STREAM_BODY) {
    while (reads_ahead(stream) && stream_receive_now(stream)) continue;
  } else if (events & CHANNEL_READ) {
    if (stream->is_closed)
      discard(stream);
    else
      receive(stream);
  }
  settle(stream);
}

static void give_up(struct timer *timer) {
  struct stream *stream = of_timer(timer);
  stream->is_dropped = true;
  settle(stream);
}

/* ---- what is noted ------------------------------------------------------------------------- */

void stream_note(struct stream *stream) { ready_add(&stream->script->world->ready, &stream->turn); }

void stream_await(struct stream *stream, struct task *reader) {
  stream->reader = reader;
  if (stream->kind == STREAM_BODY)
    watch(stream);
  else if (!(stream->interest & CHANNEL_READ))
    stream_note(stream);
}

void stream_end_wait(struct stream *stream) {
  stream->reader = NULL;
  if (stream->kind == STREAM_BODY && stream->channel) watch(stream);
}

static void note_close(struct stream *stream) {
  stream->is_closed = true;
  owned_take(&stream->owned);
  if (stream->whole) stream->whole->on_closed(stream->whole, stream);
}

/* Without a timer nothing would end it. */
void stream_linger(struct stream *stream) {
  struct timer_heap *timers = &stream->script->world->timers;
  int64_t until = script_now(stream->script) + LINGER_TIME;
  if (stream->channel && timer_set(timers, &stream->linger, until) != STATUS_OK)
    stream->is_dropped = true;
}

/* A program reads until the end of its input, whatever time it takes, and cannot tell an end that
 * came too early. So a part of a whole lingers from the end of the whole on. */
void stream_close(struct stream *stream) {
  if (stream->is_closed) return;
  note_close(stream);
  if (!stream->whole) stream_linger(stream);
  stream_note(stream);
}

void stream_drop(struct stream *stream) {
  stream->is_dropped = true;
  if (!stream->is_closed) note_close(stream);
  stream_note(stream);
}

void stream_give(struct stream *stream) {
  owned_take(&stream->owned);
  if (stream->whole) stream->whole->on_given(stream->whole, stream);
}

struct channel *stream_take_channel(struct stream *stream) {
  struct channel *channel = stream->channel;
  stream->channel = NULL;
  channel->user = NULL;
  if (!stream->is_closed) note_close(stream);
  return channel;
}

void stream_forget_value(struct stream *stream) {
  stream->has_value = false;
  stream_close(stream);
  stream_note(stream);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void end_with_task(struct owned *owned, bool is_cancelled) {
  struct stream *stream = (struct stream *)((char *)owned - offsetof(struct stream, owned));
  if (is_cancelled)
    stream_drop(stream);
  else
    stream_close(stream);
}

static void on_connected(struct network_connect *asked, struct channel *channel,
                         enum network_error error, const char *why) {
  struct stream *stream = (struct stream *)((char *)asked - offsetof(struct stream, asked));
  if (!channel)
    note_error(stream, error, why);
  else if (stream->tls && stream->tls_phase == STREAM_TLS_OFF) {
    stream->channel = channel;
    begin_handshake(stream);
    return;
  } else {
    if (stream->tls) stream->tls_phase = STREAM_TLS_ON;
    stream_open(stream, channel);
  }
  if (stream->connector) task_wake(stream->connector, 0);
}

struct stream *stream_create(struct script *script, const char *address) {
  size_t size = strlen(address) + 1;
  struct stream *stream = memory_take(&script->memory, sizeof *stream + size);
  if (!stream) return NULL;
  *stream = (struct stream){.user.on_ready = on_ready,
                            .asked.on_end = on_connected,
                            .turn.run = take_turn,
                            .linger.expire = give_up,
                            .owned.end = end_with_task,
                            .script = script,
                            .timeout = STREAM_NO_TIMEOUT_SET,
                            .room = ROOM_MIN,
                            .has_value = true,
                            .next = script->streams};
  memcpy(stream->address, address, size);
  if (stream->next) stream->next->previous = stream;
  script->streams = stream;
  return stream;
}

void stream_open(struct stream *stream, struct channel *channel) {
  stream->channel = channel;
  channel->user = &stream->user;
  stream_note(stream);
}

/* The loop has ended, and the network with it. */
void stream_free_all(struct script *script) {
  struct stream *next;
  for (struct stream *stream = script->streams; stream; stream = next) {
    next = stream->next;
    owned_take(&stream->owned);
    cancel_connect(stream);
    end_channel(stream, true);
    unlink_and_free(stream);
  }
}
