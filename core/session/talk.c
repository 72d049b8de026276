/* What a step that may wait says to the peer and hears from it while it is at work. */
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

/* What was pushed meanwhile stands before what the step writes next. */
void session_await(struct session *session, enum session_await what) {
  session->awaits = what & 3;
  session->waits_since = session->now;
  session_join_later(session);
}

void session_note_progress(struct session *session) {
  session->waits_since = session->now;
  session->handler->on_progress(session->handler, session);
}

int64_t session_peer_deadline(const struct session *session, enum reason *reason) {
  const struct limits *limits = &session->handler->limits;
  bool is_input = session->awaits == SESSION_AWAIT_INPUT;
  int64_t timeout = is_input ? limits->idle_timeout : limits->write_timeout;
  int64_t since = is_input ? session->waits_since : session->write_since;
  *reason = is_input ? REASON_IDLE_TIMEOUT : REASON_WRITE_TIMEOUT;
  return timeout > 0 ? since + timeout : CLOCK_NEVER;
}
