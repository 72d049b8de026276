#include "session/push.h"

#include <stdlib.h>
#include <string.h>

#include "session/datagram.h"
#include "session/session_internal.h"

/* Bytes that join others of their session are copied up to this length: a piece with a blob takes
 * more memory than they do. */
enum { COPIED = 256 };

/* A shorter blob counts in full for each session that holds it: finding the one that counts it
 * would cost more than its bytes. */
enum { SHARED_FROM = 1024 };

static bool is_over(const struct session *session) {
  return session->state >= STATE_CLOSING || session->closes != CLOSES_NOT || session->closes_after;
}

bool session_takes_pushes(const struct session *session) { return !is_over(session); }

/* How many pushed bytes may wait at most. Those of responses do not count: the sum that is kept is
 * too high while a response waits behind pushed bytes that were sent, but never over what waits. */
static size_t pushed_bytes(struct session *session) {
  size_t unsent = session->output.size + (session->later ? session->later->size : 0);
  if (session->pushed > unsent) session->pushed = unsent;
  return session->pushed;
}

static enum push_result refusal(struct session *session, size_t length) {
  if (is_over(session)) return PUSH_OVER;
  if (session->tunnel != TUNNEL_NONE) return PUSH_TUNNEL;
  size_t most = session->handler->limits.max_unsent, pushed = pushed_bytes(session);
  if (pushed > most || length > most - pushed) return PUSH_FULL;
  struct session_owner *owner = session->owner;
  return owner->hooks->has_room && !owner->hooks->has_room(owner, length) ? PUSH_OVERLOADED
                                                                          : PUSH_QUEUED;
}

enum status session_hold(struct session *session, struct output *output, struct piece *piece) {
  bool is_shared = piece->of.held.left.length >= SHARED_FROM;
  struct held_strings *strings = is_shared ? session->owner->hooks->held : NULL;
  enum status status = STATUS_OK;
  piece->of.held.held = NULL;
  piece->of.held.charge = piece->of.held.left.length;
  if (strings)
    status = held_add(strings, piece->of.held.left, &piece->of.held.held, &piece->of.held.charge);
  if (status != STATUS_OK) return status;
  status = output_push(output, piece);
  if (status != STATUS_OK && strings)
    held_remove(strings, piece->of.held.held, piece->of.held.charge);
  return status;
}

static enum status hold_blob(struct session *session, struct output *output, struct blob *blob) {
  struct piece piece = {.kind = PIECE_BLOB,
                        .of.held = {.left = {blob->bytes, blob->length}, .blob = blob}};
  enum status status = session_hold(session, output, &piece);
  if (status == STATUS_OK) blob_retain(blob);
  return status;
}

/* A response has begun and is not complete. */
static enum status queue_later(struct session *session, struct blob *blob) {
  if (!session->later) session->later = calloc(1, sizeof *session->later);
  session->noted = true;
  if (!session->later) return STATUS_NO_MEMORY;
  if (session->later->first && blob->length <= COPIED)
    return output_append_behind(session->later, blob->bytes, blob->length);
  return hold_blob(session, session->later, blob);
}

/* The owner looks at the session when its handler is back, but not at another one. */
void session_tell_owner(struct session *session) {
  if (!session->running && session->owner->hooks->on_output)
    session->owner->hooks->on_output(session->owner);
}

static enum push_result queued(struct session *session, bool was_empty, enum status status,
                               size_t length, int64_t now) {
  if (status != STATUS_OK) return PUSH_NO_MEMORY;
  session->pushed += length;
  if (was_empty) session->write_since = now;
  if (session->output.size >= SESSION_HIGH_WATER) session->paused = true;
  session_tell_owner(session);
  return PUSH_QUEUED;
}

/* What is pushed waits behind a response that has begun, unless its step listens to the peer. From
 * session_secure() on it waits until the connection is secure. */
static bool is_responding(const struct session *session) {
  return (session->queueing && session->awaits != SESSION_AWAIT_INPUT) || session->secures ||
         session->state == STATE_SECURING;
}

enum push_result session_push_blob(struct session *session, struct blob *blob, int64_t now) {
  struct output *output = &session->output;
  enum push_result result = refusal(session, blob->length);
  if (result != PUSH_QUEUED || blob->length == 0) return result;
  bool was_empty = output_is_empty(output);
  enum status status;
  if (is_responding(session))
    status = queue_later(session, blob);
  else if (!was_empty && blob->length <= COPIED)
    status = output_append(output, blob->bytes, blob->length);
  else
    status = hold_blob(session, output, blob);
  return queued(session, was_empty, status, blob->length, now);
}

enum push_result session_push(struct session *session, const char *bytes, size_t length,
                              int64_t now) {
  if (session->is_datagram)
    return is_over(session) ? PUSH_OVER : session_send_datagram(session, bytes, length);
  enum push_result result = refusal(session, length);
  if (result != PUSH_QUEUED || length == 0) return result;
  if (!is_responding(session)) {
    bool was_empty = output_is_empty(&session->output);
    return queued(session, was_empty, output_append(&session->output, bytes, length), length, now);
  }
  struct blob *blob = blob_create(bytes, length);
  if (!blob) return PUSH_NO_MEMORY;
  result = session_push_blob(session, blob, now);
  blob_release(blob);
  return result;
}

void session_join_later(struct session *session) {
  if (!session->later) return;
  output_join(&session->output, session->later);
  session_drop_later(session);
  if (session->output.size >= SESSION_HIGH_WATER) session->paused = true;
}

void session_drop_later(struct session *session) {
  if (!session->later) return;
  session_release_pieces(session, output_take_pieces(session->later));
  free(session->later);
  session->later = NULL;
}

/* ---- closing ------------------------------------------------------------------------------- */

static void ask_to_close(struct session *session, enum closes how) {
  session->closes = how;
  if (session->owner->hooks->wake) session->owner->hooks->wake(session->owner);
}

enum push_result session_close(struct session *session, const char *why) {
  if (is_over(session)) return PUSH_OVER;
  if (why && !(session->closed_with = strdup(why))) return PUSH_NO_MEMORY;
  bool is_between = session->state >= STATE_READING && session->state <= STATE_SECURING;
  if (!session->running)
    ask_to_close(session, CLOSES_GENTLY);
  else if (is_between && session_must_pull(session)) /* A stream is pulled. */
    session_begin_close(session, REASON_CLOSED);
  else if (is_between) /* A finalizer, while the handler is asked. */
    ask_to_close(session, CLOSES_GENTLY);
  else
    session->closes_after = session->noted = true;
  return PUSH_QUEUED;
}

void session_close_slow(struct session *session) {
  if (!is_over(session)) ask_to_close(session, CLOSES_SLOW);
}

/* What has ended it meanwhile counts. */
void session_obey_close(struct session *session) {
  enum closes how = session->closes;
  session->closes = CLOSES_NOT;
  if (session->state >= STATE_CLOSING) return;
  if (how == CLOSES_GENTLY) {
    if (session->state != STATE_SECURING && !session->secures) session_join_later(session);
    struct piece *streams = output_take_streams(&session->output);
    session_begin_close(session, REASON_CLOSED);
    session_release_pieces(session, streams);
    return;
  }
  if (how == CLOSES_CUT || how == CLOSES_BROKEN) {
    session_drop_output(session, how == CLOSES_CUT ? REASON_CLOSED : REASON_PEER_RESET);
    return;
  }
  session_fail(session, REASON_SLOW_READER,
               "the peer does not read: more than max_unsent bytes would wait for it");
  session_drop_output(session, REASON_SLOW_READER);
}
