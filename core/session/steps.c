#include "session/steps.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "session/failure_log.h"
#include "session/session_internal.h"

/* How long a stream that has nothing is not asked again, in ms: at first, and at most. */
enum { STREAM_PAUSE = 10, STREAM_PAUSE_MAX = 100 };

/* The smallest window, in bytes. With the header and the end that Lua adds, a string of 95 bytes
 * takes 120, which is what a block of 128 of the allocator holds. Larger blocks cost more to free.
 */
enum { WINDOW_MIN = 95 };

/* An unfinished request of this size is asked about again when this share of it is new, or when a
 * pause is over. */
enum { DEAR_FROM = 16 * 1024, DEAR_SHARE = 64 };

/* Of a request that was larger than this it is not remembered that there are such. */
enum { WINDOW_REMEMBERED = 4096 };

struct span session_input(const struct session *session) {
  struct span input = session_buffered(session);
  bool is_limited =
      session->window > 0 && (session->state == STATE_READING || session->state == STATE_ANSWERING);
  if (is_limited && input.length > session->window) input.length = session->window;
  return input;
}

bool session_has_request(const struct session *session) {
  return session->state == STATE_ANSWERING && session->length > 0;
}

/* One text for all: a request may be known to be over the limit before its bytes are, or not, as it
 * was cut. */
static enum session_step too_large(struct session *session) {
  session_fail(session, REASON_TOO_LARGE, "the request is over max_request");
  return session_next(session);
}

static bool over_limit(const struct session *session, size_t length) {
  return length > session->handler->limits.max_request;
}

void session_offer_interim(struct session *session, const char *interim) {
  if (!session->running || session->state != STATE_READING || session->handler->framing) return;
  session->offered = interim;
}

void session_accept_body(struct session *session) {
  const char *interim = session->offered;
  assert(session->state == STATE_EXPECTING);
  session->state = STATE_READING;
  session->offered = NULL;
  if (session->at_end) session->length = 0; /* nobody waits for a word, or for the rest */
  if (!interim || session->at_end) return;
  session->interim = interim;
  if (output_append(&session->output, interim, strlen(interim)) != STATUS_OK)
    session_fail(session, REASON_OUT_OF_MEMORY, "no memory for an interim response");
}

/* Once for each request; all responses before it are complete. `interim` is for a peer that waits.
 */
static enum session_step expect(struct session *session, const char *interim) {
  session->expected = true;
  session->state = STATE_EXPECTING;
  session->offered = interim;
  if (session->handler->wants_on_expect) return SESSION_EXPECT;
  session_accept_body(session);
  return session_next(session);
}

static enum session_step complete(struct session *session, size_t length) {
  if (over_limit(session, length)) return too_large(session);
  session->length = length;
  session->state = STATE_ANSWERING;
  return SESSION_ANSWER;
}

/* A request is asked about also when it is there, when a part of its body is, and when that is
 * malformed: so no answer depends on how it was cut. */
static bool is_asked_about(const struct session *session) {
  return session->handler->wants_on_expect && !session->expected && session->answer->http.expects;
}

/* The request is not over max_request: decode() shows no more than that. */
static enum session_step decoded(struct session *session, size_t length) {
  session->length = length;
  session->state = STATE_ANSWERING;
  return is_asked_about(session) ? expect(session, NULL) : SESSION_ANSWER;
}

/* No request can come of what is there before more bytes arrive; `length` are needed in all. Of a
 * body in chunks it is not known before its end whether the request is over max_request. Who has
 * stopped sending does not wait for a word. */
static enum session_step wait_for_more(struct session *session, const char *interim,
                                       size_t length) {
  bool is_asked = is_asked_about(session);
  if (is_asked && session->answer->http.is_chunked) return expect(session, interim);
  size_t have = session_buffered(session).length;
  session->length = length > have ? length : have + 1;
  if (over_limit(session, session->length)) return too_large(session);
  bool is_waited_for = interim && !session->expected && !session->at_end;
  if (is_asked || is_waited_for) return expect(session, interim);
  if (session->at_end) session_begin_close(session, REASON_PEER_CLOSED);
  return SESSION_WAIT;
}

static enum session_step answer_head(struct session *session) {
  enum session_step step = decoded(session, session->answer->length);
  if (step != SESSION_ANSWER || session_begin_body(session)) return step;
  session_fail(session, REASON_OUT_OF_MEMORY, "no memory for the body of a request");
  return session_next(session);
}

static enum session_step refuse(struct session *session, enum reason reason) {
  char why[FRAMING_WHY_MAX];
  session_fail(session, reason,
               framing_explain(session->handler->framing, session->answer, why, sizeof why));
  return session_next(session);
}

/* Not inlined, so that decode() needs little for a request that is there, as it mostly is. */
__attribute__((noinline)) static enum session_step undecoded(struct session *session) {
  const struct framing_answer *answer = session->answer;
  if (answer->verdict == FRAMING_HEAD) return answer_head(session);
  if (answer->verdict == FRAMING_PARTIAL)
    return wait_for_more(session, answer->interim, answer->length);
  if (is_asked_about(session)) return expect(session, NULL);
  bool is_too_large = answer->verdict == FRAMING_TOO_LARGE;
  return refuse(session, is_too_large ? REASON_TOO_LARGE : REASON_MALFORMED);
}

static enum session_step decode(struct session *session, struct span input) {
  struct framing_answer *answer = session->answer;
  size_t most = session->handler->limits.max_request;
  if (input.length > most) input.length = most; /* What is behind is of no request that is taken. */
  framing_decode(session->handler->framing, input.data, input.length, &session->progress, answer);
  if (answer->verdict != FRAMING_COMPLETE) return undecoded(session);
  return decoded(session, answer->length);
}

/* All of the request has to be copied for each time that it is asked about. Who sends many bytes
 * one by one is not asked about for each of them. */
int64_t session_ask_time(const struct session *session) {
  size_t have = session_buffered(session).length;
  bool is_dear = session->asked >= DEAR_FROM && have - session->asked < have / DEAR_SHARE;
  if (!is_dear || session->at_end || session->draining) return session->now;
  return session->asked_at + session->owner->hooks->ask_pause;
}

__attribute__((noinline)) void session_end_between(struct session *session) {
  if (session->handler->successor && !session->begun) return; /* the next handler ends it */
  session_begin_close(session, session->at_end ? REASON_PEER_CLOSED : REASON_DRAINED);
}

static enum session_step next_question(const struct session *session) {
  if (session->asked > 0 && session_ask_time(session) > session->now) return SESSION_WAIT;
  return SESSION_ASK;
}

static enum session_step next_request(struct session *session) {
  struct span input = session_buffered(session);
  if (input.length == 0) {
    if (session->at_end || session->draining) session_end_between(session);
    return SESSION_WAIT;
  }
  /* Here it moves, when the handler is back from run(). */
  if (session->handler->successor && !session->begun) return SESSION_WAIT;
  if (input.length < session->length) return SESSION_WAIT;
  if (session->handler->framing) {
    session->begun = true;
    return decode(session, input);
  }
  enum session_step step = next_question(session);
  if (step == SESSION_ASK) session->begun = true;
  return step;
}

/* But for STATE_READING. */
static const unsigned char step_of_state[] = {
    [STATE_OPENING] = SESSION_CONNECT,  [STATE_READING] = SESSION_WAIT,
    [STATE_DROPPING] = SESSION_WAIT,    [STATE_SECURING] = SESSION_WAIT,
    [STATE_EXPECTING] = SESSION_EXPECT, [STATE_ANSWERING] = SESSION_ANSWER,
    [STATE_FAILING] = SESSION_ERROR,    [STATE_DATAGRAM] = SESSION_DATAGRAM,
    [STATE_CLOSING] = SESSION_WAIT,     [STATE_ENDED] = SESSION_WAIT,
    [STATE_NOTIFYING] = SESSION_CLOSE,
};

/* The handler has had its share, or output stands before what would be next. */
__attribute__((noinline)) static enum session_step next_of_busy(const struct session *session) {
  if (session->suspended) return session->woken ? SESSION_RESUME : SESSION_WAIT;
  if (session->state == STATE_NOTIFYING) return SESSION_CLOSE;
  if (session->state == STATE_ENDED || session->yielded) return SESSION_WAIT;
  if (session_must_pull(session))
    return session->stream_retry_at > session->now ? SESSION_WAIT : SESSION_PULL;
  return (enum session_step)step_of_state[session->state];
}

enum session_step session_next(struct session *session) {
  if (session->yielded || session->paused || session->suspended || session->output.parts > 0)
    return next_of_busy(session);
  if (session->state == STATE_READING) return next_request(session);
  if (session->state == STATE_DROPPING && session_drop_body(session)) return next_request(session);
  if (session->state == STATE_SECURING) session_look_while_securing(session);
  return (enum session_step)step_of_state[session->state];
}

bool session_is_at_close(const struct session *session) {
  return session->state == STATE_NOTIFYING;
}

const struct framing_answer *session_framed(const struct session *session) {
  assert(session->state == STATE_ANSWERING && session->answer);
  return session->answer;
}

void session_yield(struct session *session) { session->yielded = true; }

bool session_at_end(const struct session *session) {
  return session->at_end && session_input(session).length == session_buffered(session).length;
}

/* Behind a request others of its size are to be expected, and of that of those before it: small and
 * larger ones may take turns, and to show too little of one costs more than to copy some bytes. */
static void narrow(struct session *session, size_t request) {
  size_t before = session->window < WINDOW_REMEMBERED ? session->window : WINDOW_REMEMBERED;
  size_t enough = before - before / 8;
  if (enough < 2 * request) enough = 2 * request;
  if (enough < WINDOW_MIN) enough = WINDOW_MIN;
  if (session->window > 0 || session_input(session).length > enough) session->window = enough;
}

/* What was shown is no request; true if there is more to show before more is needed. */
static bool widen(struct session *session, size_t needed) {
  size_t shown = session_input(session).length, have = session_buffered(session).length;
  if (shown == have || needed > have) return false;
  session->window = needed > 2 * shown ? needed : 2 * shown;
  return true;
}

/* Nothing will follow, and nothing may be left over. */
__attribute__((noinline)) static bool set_datagram_verdict(struct session *session,
                                                           enum session_verdict verdict,
                                                           size_t length, const char *why) {
  bool is_whole = verdict == SESSION_COMPLETE && length == session_input(session).length;
  if (verdict == SESSION_PARTIAL) why = "the datagram ends before its request does";
  if (verdict == SESSION_COMPLETE) why = "bytes are left over behind the request of the datagram";
  if (!is_whole)
    session_fail(session, verdict == SESSION_TOO_LARGE ? REASON_TOO_LARGE : REASON_MALFORMED, why);
  return is_whole;
}

bool session_set_verdict(struct session *session, enum session_verdict verdict, size_t length,
                         const char *why) {
  if (session->is_datagram) return set_datagram_verdict(session, verdict, length, why);
  assert(session->state == STATE_READING);
  assert(verdict != SESSION_COMPLETE || (length > 0 && length <= session_input(session).length));
  const char *interim = session->offered;
  session->offered = NULL;
  switch (verdict) {
  case SESSION_PARTIAL:
    if (widen(session, length)) break;
    session->asked = session_buffered(session).length;
    session->asked_at = session->now;
    wait_for_more(session, interim, length);
    break;
  case SESSION_COMPLETE: complete(session, length); break;
  case SESSION_MALFORMED: session_fail(session, REASON_MALFORMED, why); break;
  case SESSION_TOO_LARGE: session_fail(session, REASON_TOO_LARGE, why); break;
  }
  return session->state == STATE_ANSWERING;
}

static enum status queued(struct session *session, enum status status) {
  if (status != STATUS_OK) return status;
  session->queueing = true;
  if (session->output.size >= SESSION_HIGH_WATER) session->paused = true;
  return status;
}

enum status session_send(struct session *session, const char *bytes, size_t length) {
  return queued(session, output_append(&session->output, bytes, length));
}

enum status session_send_held(struct session *session, const char *bytes, size_t length,
                              int reference) {
  struct piece piece = {
      .kind = PIECE_HELD, .reference = reference, .of.held = {.left = {bytes, length}}};
  return queued(session, session_hold(session, &session->output, &piece));
}

enum status session_send_file(struct session *session, int file, int64_t offset, size_t length,
                              int reference) {
  struct piece piece = {
      .kind = PIECE_FILE, .reference = reference, .of.file = {file, offset, length}};
  return queued(session, output_push(&session->output, &piece));
}

enum status session_send_stream(struct session *session, int reference) {
  struct piece piece = {.kind = PIECE_STREAM, .reference = reference};
  return queued(session, output_push(&session->output, &piece));
}

/* A suspended session has done so already. */
static inline void consume_request(struct session *session) {
  if (session->length == 0) return;
  if (!session->handler->framing) narrow(session, session->length);
  session_consume(session, session->length);
  session->length = 0;
}

void session_consume_request(struct session *session) {
  if (session->state == STATE_ANSWERING) consume_request(session);
}

void session_suspend(struct session *session, void *task) {
  assert(!session->suspended);
  if (session->state == STATE_ANSWERING) consume_request(session);
  session->task = task;
  session->waits_in = session->state;
  session->suspended = true;
  session->woken = false;
  if (!session->has_waited) session->waits_since = session->now;
  session->has_waited = true;
}

void session_wake(struct session *session) {
  session->woken = true;
  if (session->owner->hooks->wake) session->owner->hooks->wake(session->owner);
}

void *session_task(const struct session *session) { return session->task; }

void *session_take_task(struct session *session) {
  void *task = session->task;
  session->task = NULL;
  session->suspended = session->woken = false;
  session->awaits = SESSION_AWAIT_NOTHING;
  return task;
}

void session_cancelled(struct session *session, const char *place) {
  char detail[256];
  if (session->state != session->waits_in) { /* Something else has ended it. */
    session->queueing = false;
    return;
  }
  snprintf(detail, sizeof detail, "%sthe response waited for longer than response_timeout", place);
  session_fail(session, REASON_RESPONSE_TIMEOUT, detail);
}

void session_answered(struct session *session, bool close) {
  session->queueing = session->has_waited = session->begun = session->expected = false;
  close = close || session->tunnel != TUNNEL_NONE;
  if (session->noted) {
    session->noted = false;
    if (session->secures && session_begin_securing(session)) return;
    session_join_later(session);
    close = close || session->closes_after;
  }
  switch (session->state) {
  case STATE_OPENING:
    session->own_timeout = 0;
    session->state = STATE_READING;
    if (close) session_begin_close(session, REASON_DONE);
    break;
  case STATE_ANSWERING:
    consume_request(session);
    session_end_request(session);
    session->state = STATE_READING;
    if (session->body)
      session_leave_body(session, close);
    else if (close)
      session_begin_close(session, REASON_DONE);
    break;
  case STATE_DATAGRAM:
  case STATE_EXPECTING:
    session->requests++;
    session_begin_close(session, REASON_DONE);
    break;
  case STATE_FAILING:
    free(session->failure);
    session->failure = NULL;
    session_begin_close(session, session->reason);
    break;
  default: assert(0 && "a report without its step");
  }
}

int session_stream(const struct session *session) {
  return output_stream(&session->output)->reference;
}

enum status session_pulled(struct session *session, const char *bytes, size_t length) {
  session->stream_retry_at = session->stream_pause = 0;
  session->has_waited = false;
  if (bytes) return output_append_front(&session->output, bytes, length);
  session_release_pieces(session, output_take_first(&session->output));
  return STATUS_OK;
}

bool session_asks_later(const struct session *session) { return session->owner->hooks->asks_later; }

void session_pulled_nothing(struct session *session) {
  unsigned pause = session->stream_pause * 2;
  if (pause == 0) session->stream_empty_since = session->now;
  if (pause == 0) pause = STREAM_PAUSE;
  if (pause > STREAM_PAUSE_MAX) pause = STREAM_PAUSE_MAX;
  session->stream_pause = pause & 0xff;
  session->stream_retry_at = session->now + pause;
}

void session_fail(struct session *session, enum reason reason, const char *detail) {
  failure_log(session, reason, detail);
  if (session->state == STATE_ENDED || session->state == STATE_NOTIFYING) return;
  /* Last words make sense only between two responses, never in the middle of one; and only once. */
  bool is_between =
      session->output.parts == 0 && !session->queueing && session->state != STATE_SECURING;
  bool has_last_words =
      is_between && session->handler->wants_on_error && session->state < STATE_FAILING;
  session_end_body(session);
  session_give_up_securing(session);
  session->queueing = session->has_waited = false;
  session->stream_retry_at = session->stream_pause = 0;
  if (!has_last_words) {
    struct piece *parts = output_take_parts(&session->output);
    session_begin_close(session, reason);
    session_release_pieces(session, parts); /* Code of the script may run, and push. */
    return;
  }
  session->reason = reason;
  session->state = STATE_FAILING;
  session->failure = strdup(detail);
}

const char *session_failure(const struct session *session) {
  return session->failure ? session->failure : reason_name(session->reason);
}

void session_closed(struct session *session) {
  assert(session->state == STATE_NOTIFYING);
  session->state = STATE_ENDED;
}

int session_client(const struct session *session) { return session->client; }

void session_set_client(struct session *session, int client) { session->client = client; }

void *session_attachment(const struct session *session) { return session->attachment; }

void session_set_attachment(struct session *session, void *attachment) {
  session->attachment = attachment;
}

unsigned session_marks(const struct session *session) { return session->marks; }

void session_set_marks(struct session *session, unsigned marks) { session->marks = marks & 0xff; }

void session_count_looked(struct session *session, size_t length) { session->looked += length; }

size_t session_take_looked(struct session *session) {
  size_t looked = session->looked;
  session->looked = 0;
  return looked;
}
