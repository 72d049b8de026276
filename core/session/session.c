/* The owner's side of a session: its life, and what happens to it. */
#include "session/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "session/session_internal.h"
#include "session/session_list.h"

struct session *session_create(struct handler *handler, struct session_owner *owner, int64_t now) {
  struct session *session = malloc(sizeof *session);
  if (!session) return NULL;
  *session = (struct session){.handler = handler, .owner = owner};
  handler->sessions++;
  if (handler->list) session_list_add(handler->list, session);
  session->state = handler->wants_on_connect ? STATE_OPENING : STATE_READING;
  session->now = session->read_since = session->write_since = now;
  return session;
}

/* The handler was called, which may have taken long. */
static void tick(struct session *session) {
  if (session->owner->hooks->now) session->now = session->owner->hooks->now(session->owner);
}

void session_release_pieces(struct session *session, struct piece *pieces) {
  bool is_called = false;
  while (pieces) {
    struct piece *piece = pieces;
    pieces = piece->next;
    bool is_held = piece->kind == PIECE_HELD || piece->kind == PIECE_BLOB;
    if (is_held && piece->of.held.held)
      held_remove(session->owner->hooks->held, piece->of.held.held, piece->of.held.charge);
    if (piece->kind == PIECE_BLOB)
      blob_release(piece->of.held.blob);
    else if (piece->kind != PIECE_BYTES) {
      session->handler->release(session->handler, session, piece->reference);
      is_called = true;
    }
    free(piece);
  }
  if (is_called) tick(session);
}

void session_consume(struct session *session, size_t length) {
  if (session->kept)
    buffer_consume(&session->kept, length);
  else {
    session->borrowed.data += length;
    session->borrowed.length -= length;
  }
}

static void drop_input(struct session *session) {
  buffer_free(&session->kept);
  session->borrowed = (struct span){NULL, 0};
}

/* Whether nothing has gone wrong. What goes wrong while the last output is sent replaces it. */
static bool is_benign(enum reason reason) {
  return reason == REASON_NONE || reason == REASON_DONE || reason == REASON_PEER_CLOSED ||
         reason == REASON_CLOSED || reason == REASON_DRAINED;
}

void session_begin_close(struct session *session, enum reason reason) {
  if (reason == REASON_DONE && session->closes_after) reason = REASON_CLOSED;
  if (is_benign(session->reason)) session->reason = reason;
  session_drop_later(session);
  session_end_body(session);
  session->state = output_is_empty(&session->output) ? STATE_ENDED : STATE_CLOSING;
  drop_input(session);
}

/* ---- a successor of the handler ------------------------------------------------------------ */

/* Whether the session has nothing in hand that its handler must finish. */
static bool is_between_requests(const struct session *session) {
  if (session->suspended) return false;
  if (session->state >= STATE_READING && session->state <= STATE_SECURING)
    return !session->begun && session->output.parts == 0;
  return session->state == STATE_OPENING;
}

static struct handler *newest(struct handler *handler) {
  while (handler->successor) handler = handler->successor;
  return handler;
}

/* A session has left the handler; may free the handler. */
static void leave_handler(struct handler *handler) {
  bool is_last = --handler->sessions == 0 && handler->successor;
  if (is_last && handler->on_unused) handler->on_unused(handler);
}

/* Gives the session the newest successor of its handler, of which there must be one. May free the
 * old handler. Not from within run(). What is buffered stays. How much of it is shown was found out
 * by other rules. */
static void change_handler(struct session *session) {
  assert(session->length == 0 && session->progress.seen == 0);
  struct handler *old = session->handler;
  struct handler *successor = newest(old);
  if (old->migrate) old->migrate(old, session, successor);
  session->handler = successor;
  successor->sessions++;
  session->window = 0;
  if (!successor->wants_on_connect && session->state == STATE_OPENING)
    session->state = STATE_READING;
  leave_handler(old);
}

bool session_migrate(struct session *session, int64_t now) {
  assert(!session->running);
  if (!session->handler->successor || session->state > STATE_ANSWERING) return true;
  if (!is_between_requests(session)) return false;
  session->now = now;
  change_handler(session);
  return true;
}

/* ---- running the handler ------------------------------------------------------------------- */

/* The handler changes here and nowhere within run(), which has things of its own at hand. */
static bool has_step(struct session *session) {
  if (session->handler->successor && is_between_requests(session)) change_handler(session);
  return session_next(session) != SESSION_WAIT;
}

/* What was done by the handler is done now, and not when it began: limits count from here. */
static void run_handler(struct session *session) {
  bool was_opening = session->state == STATE_OPENING;
  bool was_pulling = session->output.first && !session_has_output(session);
  uint64_t requests = session->requests;
  session->running = true;
  do session->handler->run(session->handler, session);
  while (has_step(session));
  session->running = false;
  tick(session);
  if (was_opening || session->requests != requests) session->read_since = session->now;
  if (was_pulling && session_has_output(session)) session->write_since = session->now;
  if (session->state == STATE_ENDED) session->yielded = false;
}

/* Runs the handler until nothing is left to do for now. */
static void drive(struct session *session, int64_t now) {
  struct framing_answer answer;
  assert(!session->running);
  session->now = now;
  if (session->closes != CLOSES_NOT) session_obey_close(session);
  bool is_unwanted = session->suspended && session->state != session->waits_in;
  if (is_unwanted) session->handler->cancel(session->handler, session);
  session->answer = &answer;
  bool was_empty = output_is_empty(&session->output);
  session->yielded = false;
  if (has_step(session)) run_handler(session);
  session->answer = NULL;
  if (was_empty && !session->blocked) session->write_since = session->now;
  if (session->state == STATE_CLOSING && output_is_empty(&session->output))
    session->state = STATE_ENDED;
}

void session_start(struct session *session, int64_t now) { drive(session, now); }

bool session_space(struct session *session, struct span *space) {
  return session->kept && buffer_reserve(&session->kept, 4096, space) == STATUS_OK;
}

static bool takes_input(const struct session *session) {
  return session->state <= STATE_SECURING || session_awaits_input(session) || session->wants_body;
}

/* Bytes either join what is kept or are only borrowed for the call. */
static enum status take(struct session *session, const char *bytes, size_t length) {
  if (!session->kept) {
    session->borrowed = (struct span){bytes, length};
    return STATUS_OK;
  }
  if (bytes == session->kept->data + session->kept->end) {
    buffer_commit(session->kept, length);
    return STATUS_OK;
  }
  return buffer_append(&session->kept, bytes, length);
}

/* What is left of borrowed bytes is the beginning of a request: it must outlive the call. */
static void keep_rest(struct session *session) {
  struct span rest = session->borrowed;
  session->borrowed = (struct span){NULL, 0};
  if (rest.length == 0) return;
  if (buffer_append(&session->kept, rest.data, rest.length) == STATUS_OK) return;
  session_fail(session, REASON_OUT_OF_MEMORY, "no memory for an unfinished request");
  drive(session, session->now);
}

void session_receive(struct session *session, const char *bytes, size_t length, int64_t now) {
  if (!takes_input(session) || length == 0) return;
  session->now = now;
  if (!session->kept && session->state != STATE_DROPPING) session->read_since = now;
  if (take(session, bytes, length) != STATUS_OK)
    session_fail(session, REASON_OUT_OF_MEMORY, "no memory for an unfinished request");
  session_note_input(session);
  drive(session, now);
  keep_rest(session);
}

size_t session_unanswered(const struct session *session) {
  return session_buffered(session).length;
}

void session_receive_end(struct session *session, int64_t now) {
  session->at_end = true;
  /* What is there is all that there will be: ask once more. */
  if (session->state == STATE_READING) session->length = 0;
  session->now = now;
  session_note_input(session);
  drive(session, now);
}

void session_resume(struct session *session, int64_t now) { drive(session, now); }

bool session_wants_turn(const struct session *session) {
  return session->yielded || session->woken || session->closes != CLOSES_NOT;
}

bool session_wants_input(const struct session *session) {
  if (!takes_input(session) || session->at_end || session->yielded) return false;
  if (session->awaits == SESSION_AWAIT_INPUT) return !session->woken;
  if (session->awaits == SESSION_AWAIT_TUNNEL)
    return !session->woken && !session->joined && session_buffered(session).length == 0;
  if (session->wants_body) return session_buffered(session).length < BODY_AHEAD;
  return !session->paused && session->output.parts == 0 && !(session->suspended && session->kept);
}

enum session_peer session_peer(const struct session *session) {
  if (!session->suspended) return SESSION_PEER_IS_READ;
  bool must_send =
      session->handler->ends_with_peer && !session->at_end && session->tunnel == TUNNEL_NONE;
  return must_send ? SESSION_PEER_MUST_SEND : SESSION_PEER_CAN_END;
}

void session_output(const struct session *session, struct span *spans, size_t capacity,
                    struct session_output *output) {
  output_next(&session->output, spans, capacity, output);
}

static void release_sent(struct session *session, struct piece *pieces) {
  bool is_last = false;
  if (session->output.parts == 0 && session->handler->on_sent)
    for (const struct piece *piece = pieces; piece && !is_last; piece = piece->next)
      is_last = piece->is_part;
  session_release_pieces(session, pieces);
  if (is_last) session->handler->on_sent(session->handler, session);
}

void session_sent(struct session *session, size_t length, int64_t now) {
  session->now = session->write_since = now;
  if (session->tunnel != TUNNEL_NONE) session->waits_since = now;
  struct piece *sent = output_sent(&session->output, length);
  if (sent) release_sent(session, sent);
  if (session->output.size <= SESSION_LOW_WATER) {
    session->paused = false;
    if (session_awaits_room(session)) session_note_progress(session);
  }
  if (!output_is_empty(&session->output)) return;
  session->pushed = 0;
  session->read_since =
      session->now; /* while output waits, the peer may not have been listened to */
  if (session->state == STATE_CLOSING) session->state = STATE_ENDED;
}

/* Between requests it may still be busy with the last response. */
void session_delivered(struct session *session, int64_t now) {
  session->write_since = now;
  if (session->tunnel != TUNNEL_NONE) session->waits_since = now;
  if (!session->kept) session->read_since = now;
}

void session_file_failed(struct session *session, int64_t now) {
  session->now = now;
  session_fail(session, REASON_FILE_ERROR, "a file of the response ended early or cannot be read");
  drive(session, now);
}

bool session_is_responding(const struct session *session) { return session->output.parts > 0; }

bool session_has_output(const struct session *session) {
  const struct output *output = &session->output;
  return output->front || (output->first && output->first->kind != PIECE_STREAM);
}

static int64_t after(int64_t since, int64_t timeout) {
  return timeout > 0 ? since + timeout : CLOCK_NEVER;
}

/* Nothing is left to be sent before a stream that has nothing for now. */
static bool is_starved(const struct session *session) {
  return session->stream_retry_at > 0 && !session_has_output(session);
}

/* Which limit of time applies now, and when it is passed. */
static int64_t deadline(const struct session *session, enum reason *reason) {
  const struct limits *limits = &session->handler->limits;
  *reason = REASON_WRITE_TIMEOUT;
  if (session->state == STATE_ENDED) return CLOCK_NEVER;
  if (session->suspended) return session_wait_deadline(session, reason);
  if (!output_is_empty(&session->output)) {
    if (!is_starved(session)) return after(session->write_since, limits->write_timeout);
    *reason = REASON_FILE_ERROR;
    return after(session->stream_empty_since, limits->idle_timeout);
  }
  if (session->yielded) return CLOCK_NEVER; /* it waits for its turn, and not for the peer */
  *reason = REASON_REQUEST_TIMEOUT;
  if ((session->kept && session->state != STATE_DROPPING) || session->state == STATE_SECURING)
    return after(session->read_since, limits->request_timeout);
  *reason = REASON_IDLE_TIMEOUT;
  return after(session->read_since, limits->idle_timeout);
}

/* When the handler may be asked again about an unfinished request, or for the next piece. */
__attribute__((noinline)) static int64_t ask_again_at(const struct session *session) {
  if (session->stream_retry_at > 0 && session_must_pull(session)) return session->stream_retry_at;
  size_t have = buffer_bytes(session->kept).length;
  bool may_ask = session->asked > 0 && have > session->asked && have >= session->length &&
                 session->state == STATE_READING && !session->paused && session->output.parts == 0;
  return may_ask ? session_ask_time(session) : CLOCK_NEVER;
}

int64_t session_deadline(const struct session *session) {
  enum reason reason;
  int64_t when = deadline(session, &reason);
  if (session->asked == 0 && session->stream_retry_at == 0) return when;
  int64_t asks = ask_again_at(session);
  return asks < when ? asks : when;
}

/* The session is over before pieces are released: releasing them may run code of the script. */
void session_drop_output(struct session *session, enum reason reason) {
  struct piece *pieces = output_take_pieces(&session->output);
  buffer_free(&session->output.front);
  session->output.size = 0;
  session_begin_close(session, reason);
  session_release_pieces(session, pieces);
}

/* What a stream has by now counts, though its pause was not over. */
static void retry_stream(struct session *session, int64_t now) {
  session->stream_retry_at = now;
  drive(session, now);
}

void session_expire(struct session *session, int64_t now) {
  enum reason reason;
  if (is_starved(session) && deadline(session, &reason) <= now) retry_stream(session, now);
  if (deadline(session, &reason) > now) {
    bool asks_again = session->asked > 0 || session->stream_retry_at > 0;
    if (asks_again) drive(session, now); /* it may be time for that */
    return;
  }
  session->now = now;
  if (reason == REASON_RESPONSE_TIMEOUT)
    session->handler->cancel(session->handler, session);
  else if (reason == REASON_REQUEST_TIMEOUT)
    session_fail(session, reason,
                 session->state == STATE_SECURING
                     ? "the connection did not get secure within request_timeout"
                     : "the request did not get complete within request_timeout");
  else if (reason == REASON_FILE_ERROR)
    session_fail(session, reason, "a file of the response had nothing to read within idle_timeout");
  else if (reason == REASON_WRITE_TIMEOUT) {
    session_fail(session, reason, "the peer took no byte of its response within write_timeout");
    session_drop_output(session, reason);
  } else
    session_begin_close(session, reason);
  drive(session, now);
}

size_t session_memory(const struct session *session) {
  size_t later = session->later ? output_memory(session->later) : 0;
  size_t input = buffer_memory(session->kept) + session_body_memory(session);
  return input + output_memory(&session->output) + later;
}

void session_claim(struct session *session) {
  if (session->owner->hooks->held) output_claim(&session->output, session->owner->hooks->held);
}

size_t session_files(const struct session *session) {
  return session->output.files + (session->stream_retry_at > 0);
}

/* The memory of a request comes free at once; what the peer does not take comes free only when it
 * is given up. */
bool session_refuse(struct session *session, int64_t now) {
  size_t output = output_memory(&session->output);
  bool is_cut = output > buffer_memory(session->kept) + session_body_memory(session) ||
                session->state >= STATE_FAILING;
  session->now = now;
  session_fail(session, REASON_OVERLOADED,
               is_cut ? "the server buffers too much, and most of it for this response"
                      : "the server buffers too much, and most of it for this request");
  if (is_cut) session_drop_output(session, REASON_OVERLOADED);
  drive(session, now);
  return is_cut;
}

int64_t session_idle_since(const struct session *session) { return session->read_since; }

void session_drain(struct session *session, int64_t now) {
  session->draining = true;
  drive(session, now);
}

void session_abort(struct session *session, enum reason reason, int64_t now) {
  session->now = now;
  if (session->state != STATE_ENDED) session_drop_output(session, reason);
  if (session->suspended) drive(session, now); /* It is cancelled. */
}

void session_abandon(struct session *session) { session->abandoned = true; }

bool session_finished(const struct session *session) { return session->state == STATE_ENDED; }

enum reason session_reason(const struct session *session) { return session->reason; }

const char *session_reason_text(const struct session *session) {
  bool has_text = session->reason == REASON_CLOSED && session->closed_with;
  return has_text ? session->closed_with : reason_name(session->reason);
}

const char *session_interim(const struct session *session) { return session->interim; }

void session_identify(struct session *session, struct session_identity *identity) {
  session->owner->hooks->identify(session->owner, identity);
}

enum status session_describe_tls(struct session *session, struct span *text) {
  const struct session_hooks *hooks = session->owner->hooks;
  return hooks->describe_tls ? hooks->describe_tls(session->owner, text) : STATUS_CLOSED;
}

uint64_t session_requests(const struct session *session) { return session->requests; }

void session_destroy(struct session *session, int64_t now) {
  session_abort(session, REASON_STOPPED, now);
  if (!session->abandoned && session->handler->wants_on_close) {
    session->state = STATE_NOTIFYING;
    drive(session, now);
  }
  struct handler *handler = session->handler;
  if (session->client != 0 && handler->forget_client) handler->forget_client(handler, session);
  free(session->failure);
  free(session->closed_with);
  if (handler->list && !session->is_datagram) session_list_remove(handler->list, session);
  free(session);
  leave_handler(handler);
}
