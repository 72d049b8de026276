#include "session/tunnel.h"

#include "session/session_internal.h"

void session_begin_tunnel(struct session *session) {
  session_join_later(session);
  session->queueing = true;
  session->tunnel = TUNNEL_OPEN;
  session_await(session, SESSION_AWAIT_TUNNEL);
}

bool session_has_tunnel(const struct session *session) { return session->tunnel != TUNNEL_NONE; }

/* What the session wants of the peer may have changed. */
static void tell_owner(struct session *session) {
  if (session->owner->hooks->on_output) session->owner->hooks->on_output(session->owner);
}

enum status session_tunnel_send(struct session *session, const char *bytes, size_t length,
                                int64_t now) {
  bool was_empty = output_is_empty(&session->output);
  enum status status = output_append(&session->output, bytes, length);
  if (status != STATUS_OK) return status;
  if (was_empty) session->write_since = now;
  if (was_empty) tell_owner(session);
  return STATUS_OK;
}

void session_tunnel_take(struct session *session, size_t length, int64_t now) {
  session_consume(session, length);
  session_note_tunneled(session, now);
  tell_owner(session);
}

void session_note_tunneled(struct session *session, int64_t now) { session->waits_since = now; }

void session_end_sending(struct session *session) {
  session->said_all = true;
  tell_owner(session);
}

void session_end_tunnel(struct session *session) {
  session->tunnel = TUNNEL_OVER;
  session_note_talk(session);
}

void session_break_tunnel(struct session *session, bool is_reset) {
  if (session->state >= STATE_CLOSING || session->closes != CLOSES_NOT) return;
  session->closes = is_reset ? CLOSES_BROKEN : CLOSES_CUT;
  if (session->owner->hooks->wake) session->owner->hooks->wake(session->owner);
}

bool session_join(struct session *session, struct session_joint *joint) {
  const struct session_hooks *hooks = session->owner->hooks;
  session->joined = hooks->join && hooks->join(session->owner, joint);
  if (session->joined) tell_owner(session);
  return session->joined;
}

void session_part(struct session *session) {
  session->owner->hooks->part(session->owner);
  session->joined = session->blocked = false;
}

void session_tunnel_progress(struct session *session) {
  if (session->awaits == SESSION_AWAIT_TUNNEL)
    session->handler->on_progress(session->handler, session);
}

void session_note_blocked(struct session *session, bool is_blocked, int64_t now) {
  if (is_blocked && !session->blocked) session->write_since = now;
  session->blocked = is_blocked;
}

bool session_has_said_all(const struct session *session) { return session->said_all; }

bool session_is_cut(const struct session *session) { return session->tunnel == TUNNEL_OPEN; }
