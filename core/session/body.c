#include "session/body.h"

#include <stdlib.h>
#include <string.h>

#include "framing/http_body.h"
#include "session/failure_log.h"
#include "session/session_internal.h"

struct session_body {
  struct http_body decoder;
  struct session_body_user *user; /* NULL: nobody uses it. */
  size_t declared;                /* The length, if it is not chunked. */
  const char *why;                /* With `fault`. */
  enum reason fault : 8;
  bool expects : 1; /* The peer waits before it sends the body, if it has sent nothing of it. */
  bool is_asked_for : 1; /* Bytes were asked for. */
  bool is_told : 1;      /* The user was told that it has ended. */
  bool ends_session : 1; /* The session ends with the response. */
};

bool session_begin_body(struct session *session) {
  struct session_body *body = calloc(1, sizeof *body);
  if (!body) return false;
  http_body_begin(&body->decoder, session->handler->framing, session->answer);
  body->declared = session->answer->declared;
  body->expects = session->answer->http.expects;
  session->body = body;
  return true;
}

void session_end_body(struct session *session) {
  struct session_body *body = session->body;
  if (!body) return;
  if (body->user) body->user->on_over(body->user);
  session->body = NULL;
  session->wants_body = false;
  free(body);
}

/* ---- taking --------------------------------------------------------------------------------- */

bool session_has_body(const struct session *session) { return session->body != NULL; }

bool session_is_in_body(const struct session *session) {
  return session->body && session->body->decoder.stage != HTTP_BODY_END;
}

void session_use_body(struct session *session, struct session_body_user *user) {
  session->body->user = user;
  if (!user) session->wants_body = false;
}

static void note_fault(struct session_body *body, enum reason fault, const char *why) {
  body->fault = fault & 0xff;
  body->why = why;
}

/* Takes the next piece away. The data of the piece stays where it is until the session is next
 * called. */
static enum http_body_result take_piece(struct session *session, size_t most,
                                        struct http_body_piece *piece) {
  struct session_body *body = session->body;
  session_consume_request(session);
  enum http_body_result result =
      http_body_next(&body->decoder, session_buffered(session), most, piece);
  if (result == HTTP_BODY_MALFORMED) note_fault(body, REASON_MALFORMED, piece->why);
  if (result == HTTP_BODY_TOO_LARGE) note_fault(body, REASON_TOO_LARGE, piece->why);
  if (result == HTTP_BODY_PARTIAL && session->at_end)
    note_fault(body, REASON_PEER_CLOSED, "the peer has stopped sending within the body");
  return result;
}

enum status session_read_body(struct session *session, char *into, size_t capacity,
                              size_t *length) {
  struct session_body *body = session->body;
  struct http_body_piece piece;
  body->is_asked_for = true;
  if (body->fault != REASON_NONE) return STATUS_ERROR;
  enum http_body_result result = take_piece(session, capacity, &piece);
  *length = piece.data.length;
  if (result == HTTP_BODY_FOUND) memcpy(into, piece.data.data, piece.data.length);
  if (piece.length > 0) session_consume(session, piece.length);
  if (result == HTTP_BODY_FOUND) return STATUS_OK;
  body->is_told = result == HTTP_BODY_OVER;
  if (result == HTTP_BODY_OVER) return STATUS_CLOSED;
  return body->fault == REASON_NONE ? STATUS_AGAIN : STATUS_ERROR;
}

enum reason session_body_fault(const struct session *session, const char **why) {
  *why = session->body ? session->body->why : NULL;
  return session->body ? session->body->fault : REASON_NONE;
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Once. A peer that has sent a byte of the body, or has been sent one of the response, does not
 * wait. */
static void send_interim(struct session *session, int64_t now) {
  static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
  struct session_body *body = session->body;
  bool waits = body->expects && !session->at_end && session_buffered(session).length == 0 &&
               session->state == STATE_ANSWERING && !session->queueing;
  body->expects = false;
  if (!waits) return;
  session->interim = interim;
  if (output_is_empty(&session->output)) session->write_since = now;
  if (output_append(&session->output, interim, sizeof interim - 1) != STATUS_OK)
    note_fault(body, REASON_OUT_OF_MEMORY, "no memory for an interim response");
}

void session_want_body(struct session *session, bool is_wanted, int64_t now) {
  if (session->wants_body == is_wanted) return;
  session->wants_body = is_wanted;
  if (!is_wanted) return;
  session->waits_since = now;
  session_consume_request(session);
  if (session->body->expects) send_interim(session, now);
  session_tell_owner(session);
}

void session_tell_body(struct session *session) {
  session->waits_since = session->now;
  session->body->user->on_bytes(session->body->user);
}

size_t session_body_memory(const struct session *session) {
  const struct session_body_user *user = session->body ? session->body->user : NULL;
  return user ? user->unread(user) : 0;
}

/* ---- the end -------------------------------------------------------------------------------- */

bool session_goes_on(const struct session *session) {
  const struct session_body *body = session->body;
  if (!body) return true;
  if (body->fault != REASON_NONE) return false;
  if (body->is_told) return true;
  if (body->decoder.is_chunked || (body->expects && !body->is_asked_for)) return false;
  if (body->declared <= SESSION_BODY_DROPPED) return true;
  return body->decoder.stage == HTTP_BODY_END && session_body_memory(session) == 0;
}

/* The response is queued: `close` ends the session when it is sent. Its functions may still read
 * the body. */
void session_leave_body(struct session *session, bool close) {
  session->body->ends_session = close;
  session->state = STATE_DROPPING;
}

/* Its request is answered, and so there are no last words for a body that is broken. */
static void close_with_body(struct session *session, enum reason otherwise) {
  const struct session_body *body = session->body;
  enum reason fault = body->fault;
  if (fault == REASON_MALFORMED || fault == REASON_TOO_LARGE)
    failure_log(session, fault, body->why);
  session_begin_close(session, fault == REASON_NONE ? otherwise : fault);
}

bool session_drop_body(struct session *session) {
  struct session_body *body = session->body;
  bool ends = body->ends_session || !session_goes_on(session);
  if (body->user) body->user->on_over(body->user);
  session_use_body(session, NULL);
  if (ends) {
    close_with_body(session, REASON_DONE);
    return false;
  }
  struct http_body_piece piece;
  enum http_body_result result;
  do {
    result = take_piece(session, SIZE_MAX, &piece);
    if (piece.length > 0) session_consume(session, piece.length);
  } while (result == HTTP_BODY_FOUND);
  if (result != HTTP_BODY_OVER) {
    bool is_last = body->fault != REASON_NONE || session->draining;
    if (is_last) close_with_body(session, REASON_DRAINED);
    return false;
  }
  session_end_body(session);
  session->state = STATE_READING;
  return true;
}

bool session_fail_body(struct session *session) {
  const char *why;
  enum reason reason = session_body_fault(session, &why);
  if (reason == REASON_NONE) return false;
  if (reason != REASON_PEER_CLOSED) {
    session_fail(session, reason, why);
    return true;
  }
  session->queueing = session->has_waited = false;
  session_release_pieces(session, output_take_parts(&session->output));
  session_begin_close(session, reason);
  return true;
}
