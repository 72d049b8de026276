/* steps.h: one connection's conversation, without I/O: the calls of its handler.
 *
 * From within handler->run, the handler asks session_next() for the next step, does it, and reports
 * the result with one of the calls below, until the step is SESSION_WAIT. What the owner of the
 * session calls is in session.h. */
#ifndef SESSION_STEPS_H
#define SESSION_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/status.h"
#include "framing/framing.h"
#include "session/reason.h"

struct session;

enum session_step {
  SESSION_WAIT,     /* There is nothing to do before something happens. */
  SESSION_CONNECT,  /* The connection is new. Report with session_answered(). */
  SESSION_ASK,      /* Is session_input() a request? Report with session_set_verdict(). */
  SESSION_EXPECT,   /* The head of a request is at the front of session_input(): may the peer send
                     * the body? Report with session_accept_body(); or queue a response and report
                     * with session_answered(), which ends the session. */
  SESSION_ANSWER,   /* A request is complete. Report with session_answered(). */
  SESSION_DATAGRAM, /* session_input() is a datagram, which is to be answered (datagram.h). If it is
                     * no request, report with session_set_verdict(), else with session_answered().
                     */
  SESSION_PULL,   /* session_stream() is at the head of the output. Report with session_pulled() or
                   * session_pulled_nothing(). */
  SESSION_RESUME, /* A suspended step can go on: see session_take_task(). */
  SESSION_ERROR,  /* The session has failed: see session_failure(). Report with
                   * session_answered(). */
  SESSION_CLOSE   /* The session is over: see session_reason(). Report with session_closed(). */
};

/* The next step. Until it is reported, asking again gives the same step. */
enum session_step session_next(struct session *session);

/* The step waits, and `task` is the handler's pointer to it. session_next() is SESSION_WAIT until
 * session_wake(), and SESSION_RESUME then. The bytes of a request that is being answered are given
 * back. */
void session_suspend(struct session *session, void *task);

/* What the step waits for has come: the owner goes on with the session in a later turn. May be
 * called at any time. */
void session_wake(struct session *session);

/* The task of a suspended session; NULL: it is not suspended. */
void *session_task(const struct session *session);

/* At SESSION_RESUME: returns the task. The session is not suspended any more, and the step that it
 * was at is to be reported. */
void *session_take_task(struct session *session);

/* How long the answer to the request in hand may wait, in ms, instead of limits.response_timeout.
 * It also holds for the functions of the response. 0: there is no limit. */
void session_set_response_timeout(struct session *session, int64_t timeout);

/* Reports a step that was cancelled (handler->cancel). `place`: where it waited, such as
 * "chat.lua:12: ", for the log and SESSION_ERROR; or "". */
void session_cancelled(struct session *session, const char *place);

/* The handler has used its share of time: session_next() is SESSION_WAIT until the owner calls
 * session_resume(). */
void session_yield(struct session *session);

/* ---- requests ------------------------------------------------------------------------------ */

/* The buffered bytes. At SESSION_ANSWER they begin with the request. Where many small requests are
 * buffered, SESSION_ASK shows only the first of them, as if the rest had not arrived yet: a handler
 * that copies what it is shown would else copy all of it for each request. */
struct span session_input(const struct session *session);

/* Whether session_input() begins with the request that is being answered, which has not waited. */
bool session_has_request(const struct session *session);

/* At SESSION_ANSWER with a framing: what the framing found, until the session is next called. */
const struct framing_answer *session_framed(const struct session *session);

/* The peer has stopped sending, and session_input() shows all that is left. */
bool session_at_end(const struct session *session);

enum session_verdict {
  SESSION_PARTIAL,   /* Not complete before `length` bytes are there; 0: the length is unknown. */
  SESSION_COMPLETE,  /* The first `length` bytes are the request. */
  SESSION_MALFORMED, /* The bytes can never become a request; `why` is the reason. */
  SESSION_TOO_LARGE  /* The request is over a limit; `why` says which. */
};

/* Reports SESSION_ASK. For SESSION_COMPLETE, `length` is at least 1 and at most the length of the
 * input. True: the next step is SESSION_ANSWER.
 * At SESSION_DATAGRAM, only SESSION_COMPLETE of all bytes is a request: true, and nothing else is
 * done. Else the session fails with REASON_MALFORMED or REASON_TOO_LARGE. */
bool session_set_verdict(struct session *session, enum session_verdict verdict, size_t length,
                         const char *why);

/* At SESSION_ASK, before the verdict: the framing that the handler has called has an interim
 * response (framing_answer.interim). If the verdict is SESSION_PARTIAL, the peer is sent it, once
 * for each request. At other times this does nothing. */
void session_offer_interim(struct session *session, const char *interim);

/* Reports SESSION_EXPECT: the peer may send the body. It is sent the interim response if it waits
 * for one. */
void session_accept_body(struct session *session);

/* The handler has read `length` bytes of the input. session_take_looked() returns the sum since its
 * last call. */
void session_count_looked(struct session *session, size_t length);
size_t session_take_looked(struct session *session);

/* ---- responses ----------------------------------------------------------------------------- */

/* From this length on, a string should be sent with session_send_held() and not be copied. */
enum { SESSION_HOLD_FROM = 32 * 1024 };

/* Queues bytes, which are copied. */
enum status session_send(struct session *session, const char *bytes, size_t length);

/* Queue by reference, which handler->release gets when it was sent or dropped: bytes that stay
 * where they are; `length` bytes of a file from `offset` on; a stream that is pulled when it is at
 * the head of the output. On failure (no memory) the reference is still the caller's. */
enum status session_send_held(struct session *session, const char *bytes, size_t length,
                              int reference);
enum status session_send_file(struct session *session, int file, int64_t offset, size_t length,
                              int reference);
enum status session_send_stream(struct session *session, int reference);

/* All of the response is queued. `close`: the session ends when it is sent. */
void session_answered(struct session *session, bool close);

/* At SESSION_PULL: the reference of the stream at the head of the output. */
int session_stream(const struct session *session);

/* Reports SESSION_PULL: the next piece, which is copied. NULL: the stream has ended, and its
 * reference is released. */
enum status session_pulled(struct session *session, const char *bytes, size_t length);

/* Reports SESSION_PULL: the stream has nothing now. SESSION_PULL comes again after a pause, which
 * grows from 10 to 100 ms. Meanwhile write_timeout does not apply. If the stream has nothing for
 * idle_timeout, the session ends with REASON_FILE_ERROR. */
void session_pulled_nothing(struct session *session);

/* Whether session_pulled_nothing() may be called; if not, reading a stream has to wait. */
bool session_asks_later(const struct session *session);

/* ---- talking with the peer within a step ---------------------------------------------------- */

/* Whether the step may read and write itself: SESSION_CONNECT and SESSION_ANSWER may. It writes
 * with session_send(): that begins its response. */
bool session_can_talk(const struct session *session);

/* The bytes behind the request that is being answered, which is given back. They are valid until
 * the session is next called. */
struct span session_rest(struct session *session);

/* Takes bytes from the front of them. */
void session_take_rest(struct session *session, size_t length);

/* Whether the peer has stopped sending. */
bool session_has_heard_all(const struct session *session);

/* The bytes of output that wait in memory. */
size_t session_unsent(const struct session *session);

enum session_await {
  SESSION_AWAIT_NOTHING,
  SESSION_AWAIT_INPUT, /* More bytes, or the end. Until then idle_timeout holds. */
  SESSION_AWAIT_ROOM,  /* The output has gone down to the low mark. Until then write_timeout holds.
                        */
  SESSION_AWAIT_TUNNEL /* Input or room, as it comes (tunnel.h). Both limits hold. */
};

/* The step has sent bytes to the peer or taken some of it: response_timeout begins anew. */
void session_note_talk(struct session *session);

/* The step is about to wait for this: handler->on_progress tells. It ends when the step goes on. */
void session_await(struct session *session, enum session_await what);

/* ---- security ------------------------------------------------------------------------------- */

/* At SESSION_ANSWER, once: after this response the owner secures the connection. The session is not
 * closed with it, unless session_close() asks for that. Bytes that come before the connection is
 * secure end the session with REASON_MALFORMED, after the response. What is pushed after the
 * response is sent when it is secure. */
bool session_can_secure(const struct session *session);
void session_secure(struct session *session);

/* Whether session_secure() was called for the response that is not complete yet. */
bool session_will_secure(const struct session *session);

/* ---- failure and end ----------------------------------------------------------------------- */

/* The request or the response has failed: logs that with the first bytes of the input. The next
 * step is SESSION_ERROR, if the handler wants it and the failure is between two responses; then the
 * session ends. What earlier responses have queued is still sent. `detail` is copied; it may have
 * several lines. */
void session_fail(struct session *session, enum reason reason, const char *detail);

/* At SESSION_ERROR: the detail of the failure; never NULL, valid until the session is next called.
 */
const char *session_failure(const struct session *session);

/* Whether session_next() is SESSION_CLOSE. */
bool session_is_at_close(const struct session *session);

/* Reports SESSION_CLOSE. */
void session_closed(struct session *session);

/* ---- what the handler keeps with a session -------------------------------------------------- */

/* The handler's own number for this session; 0 at first. */
int session_client(const struct session *session);
void session_set_client(struct session *session, int client);

/* The handler's own pointer; NULL at first. The handler takes back what it stands for in
 * handler->forget_client, which is called if the session has a client. */
void *session_attachment(const struct session *session);
void session_set_attachment(struct session *session, void *attachment);

/* Eight bits for the handler's own use; 0 at first. */
unsigned session_marks(const struct session *session);
void session_set_marks(struct session *session, unsigned marks);

#endif
