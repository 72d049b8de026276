/* A response after which the owner secures the connection: nothing that has come before is taken
 * for what comes by the secured connection. */
#include <assert.h>

#include "session/session_internal.h"

bool session_can_secure(const struct session *session) {
  return session->state == STATE_ANSWERING && !session->secures;
}

bool session_will_secure(const struct session *session) { return session->secures; }

void session_secure(struct session *session) { session->secures = session->noted = true; }

void session_give_up_securing(struct session *session) {
  if (!session->secures) return;
  session->secures = false;
  session_drop_later(session);
}

bool session_begin_securing(struct session *session) {
  if (session->state != STATE_ANSWERING || session->closes_after) {
    session_give_up_securing(session);
    return false;
  }
  session->secures = false;
  session_consume_request(session);
  session_end_request(session);
  session_end_body(session);
  session->state = STATE_SECURING;
  return true;
}

void session_look_while_securing(struct session *session) {
  if (session_buffered(session).length > 0)
    session_fail(session, REASON_MALFORMED,
                 "the peer has sent bytes that are not secure behind its request for security");
  else if (session->at_end || session->draining)
    session_end_between(session);
}

/* Who has yielded has not looked yet whether bytes have come. */
bool session_is_securing(const struct session *session) {
  return session->state == STATE_SECURING && output_is_empty(&session->output) &&
         !session_wants_turn(session);
}

void session_secured(struct session *session, int64_t now) {
  assert(session->state == STATE_SECURING && session_buffered(session).length == 0);
  session->state = STATE_READING;
  session->read_since = now;
  session->noted = false;
  session_join_later(session);
  session_resume(session, now);
}
