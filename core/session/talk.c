/* A step that waits: what it says to the peer and hears from it, and for how long. */
#include "base/clock.h"
#include "session/session_internal.h"

bool session_can_talk(const struct session *session) {
  return session->state == STATE_OPENING || session->state == STATE_ANSWERING;
}

struct span session_rest(struct session *session) {
  session_consume_request(session);
  return session_buffered(session);
}

void session_take_rest(struct session *session, size_t length) { session_consume(session, length); }

bool session_has_heard_all(const struct session *session) { return session->at_end; }

size_t session_unsent(const struct session *session) { return session->output.size; }

void session_note_talk(struct session *session) { session->waits_since = session->now; }

/* Who listens to the peer has said what it had to say: what was pushed meanwhile stands before what
 * the step writes next. */
void session_await(struct session *session, enum session_await what) {
  session->awaits = what & 3;
  session->waits_since = session->now;
  if (what == SESSION_AWAIT_INPUT) session_join_later(session);
}

void session_note_progress(struct session *session) {
  session->waits_since = session->now;
  session->handler->on_progress(session->handler, session);
}

void session_note_input(struct session *session) {
  if (session_awaits_input(session)) session_note_progress(session);
  if (session->wants_body) session_tell_body(session);
}

static int64_t after(int64_t since, int64_t timeout) {
  return timeout > 0 ? since + timeout : CLOCK_NEVER;
}

void session_set_response_timeout(struct session *session, int64_t timeout) {
  session->own_timeout = timeout > 0 ? timeout : CLOCK_NEVER;
  session->own_timeout_of = (uint32_t)session->requests;
}

/* 0: no limit. */
static int64_t response_timeout(const struct session *session) {
  uint32_t request = session->own_timeout_of, now = (uint32_t)session->requests;
  bool is_own = now == request || (now == request + 1 && session->output.parts > 0);
  if (session->own_timeout == 0 || !is_own) return session->handler->limits.response_timeout;
  return session->own_timeout == CLOCK_NEVER ? 0 : session->own_timeout;
}

/* What the step awaits must come from the peer. */
static int64_t peer_deadline(const struct session *session, enum reason *reason) {
  const struct limits *limits = &session->handler->limits;
  bool is_input = session->awaits != SESSION_AWAIT_ROOM;
  if (session->awaits == SESSION_AWAIT_TUNNEL) {
    int64_t idle = after(session->waits_since, limits->idle_timeout);
    bool is_unsent = session->blocked || session_has_output(session);
    int64_t write = is_unsent ? after(session->write_since, limits->write_timeout) : CLOCK_NEVER;
    *reason = write < idle ? REASON_WRITE_TIMEOUT : REASON_IDLE_TIMEOUT;
    return write < idle ? write : idle;
  }
  *reason = is_input ? REASON_IDLE_TIMEOUT : REASON_WRITE_TIMEOUT;
  if (is_input) return after(session->waits_since, limits->idle_timeout);
  return after(session->write_since, limits->write_timeout);
}

/* If the peer does not take what was sent before, that limit applies, too. */
int64_t session_wait_deadline(const struct session *session, enum reason *reason) {
  if (session->awaits != SESSION_AWAIT_NOTHING || session->wants_body)
    return peer_deadline(session, reason);
  int64_t when = after(session->waits_since, response_timeout(session));
  int64_t write = after(session->write_since, session->handler->limits.write_timeout);
  bool is_write = session_has_output(session) && write < when;
  *reason = is_write ? REASON_WRITE_TIMEOUT : REASON_RESPONSE_TIMEOUT;
  return is_write ? write : when;
}

void session_set_tap(struct session *session, struct tap *tap) { session->tap = tap; }

struct tap *session_tap(const struct session *session) {
  return session->tap;
}
