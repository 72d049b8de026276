#include "script/body.h"

#include <stddef.h>
#include <stdlib.h>

#include "script/gate.h"
#include "script/script_internal.h"
#include "script/stream_value.h"
#include "session/body.h"
#include "session/session.h"

struct body {
  struct channel channel;
  struct session_body_user user;
  struct stream *stream;
  struct session *session; /* NULL: it is over. */
};

static struct body *of_channel(const struct channel *channel) {
  return (struct body *)((char *)channel - offsetof(struct body, channel));
}

static struct body *of_user(const struct session_body_user *user) {
  return (struct body *)((char *)user - offsetof(struct body, user));
}

/* ---- the side of the session --------------------------------------------------------------- */

static void note_fault(struct body *body) {
  struct stream *stream = body->stream;
  switch (session_body_fault(body->session, &stream->fault_why)) {
  case REASON_MALFORMED: stream->fault = "malformed"; break;
  case REASON_TOO_LARGE: stream->fault = "too_large"; break;
  default: stream->fault = "reset";
  }
  if (!stream->fault_why) stream->fault_why = "the request ended before its body was read";
}

static void on_bytes(struct session_body_user *user) {
  struct channel_user *reader = of_user(user)->channel.user;
  reader->on_ready(reader, CHANNEL_READ);
}

static void on_over(struct session_body_user *user) {
  struct body *body = of_user(user);
  struct stream *stream = body->stream;
  if (stream->end == READING_OPEN && session_is_in_body(body->session)) {
    note_fault(body);
    stream->end = READING_BROKEN;
  } else if (stream->end == READING_OPEN)
    stream->end = READING_ENDED;
  body->session = NULL;
  stream_note(stream);
}

static size_t unread(const struct session_body_user *user) {
  return buffer_bytes(of_user(user)->stream->input).length;
}

/* ---- the side of the stream ---------------------------------------------------------------- */

static enum status receive(struct channel *channel, char *into, size_t capacity, size_t *length) {
  struct body *body = of_channel(channel);
  if (!body->session) return STATUS_ERROR;
  enum status status = session_read_body(body->session, into, capacity, length);
  if (status == STATUS_ERROR) note_fault(body);
  return status;
}

static enum status refuse_to_send(struct channel *channel, const char *bytes, size_t length,
                                  size_t *sent) {
  (void)channel, (void)bytes, (void)length;
  *sent = 0;
  return STATUS_ERROR;
}

static void watch(struct channel *channel, unsigned interest) {
  struct body *body = of_channel(channel);
  int64_t now = script_now(body->stream->script);
  if (body->session) session_want_body(body->session, interest & CHANNEL_READ, now);
}

static void end_sending(struct channel *channel) { (void)channel; }

static void close_body(struct channel *channel, bool reset) {
  struct body *body = of_channel(channel);
  (void)reset;
  if (body->session) session_use_body(body->session, NULL);
  free(body);
}

static const struct channel_class class = {.receive = receive,
                                           .send = refuse_to_send,
                                           .watch = watch,
                                           .shutdown = end_sending,
                                           .close = close_body};

void body_push(lua_State *state, struct session *session) {
  struct stream *stream = stream_value_push(state, script_of_state(state), "the body of a request");
  stream->kind = STREAM_BODY;
  stream->end = READING_ENDED;
  if (!session || !session_has_body(session)) return;
  struct body *body = malloc(sizeof *body);
  if (!body) {
    gate_raise_no_memory(state);
    return;
  }
  *body = (struct body){.channel = {.class = &class, .user = &stream->user},
                        .user = {on_bytes, on_over, unread},
                        .stream = stream,
                        .session = session};
  stream->end = READING_OPEN;
  stream->channel = &body->channel;
  session_use_body(session, &body->user);
}
