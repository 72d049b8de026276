/* session.h: one conversation, without I/O.
 *
 * Bytes go in, requests come of them; responses are queued, bytes come out. The session keeps the
 * order, the limits and the close policy. Sockets and clocks are left to the server room, which
 * feeds it; what a request means is left to the handler (handler.h). Specs feed it strings and the
 * fuzzer noise, and all of them run this same code.
 *
 * Two sides use a session:
 *   - its owner (a connection, a harness) tells it what happened (receive, end of input, sent,
 *     resume, expire, drain, abort) and takes the output. These calls run the handler.
 *   - its handler, from within handler->run, asks session_next() and reports what came of it.
 * A session is not thread-safe and no call of the owner's may be made from within the handler.
 * All times are milliseconds of the owner's clock. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/span.h"
#include "base/status.h"
#include "session/handler.h"
#include "session/held.h"
#include "session/reason.h"

/* Unsent output at which a session stops reading and asking, and that at which it goes on. */
enum { SESSION_HIGH_WATER = 256 * 1024, SESSION_LOW_WATER = 64 * 1024 };

/* Strings of at least this many bytes are worth being sent from where they are. */
enum { SESSION_HOLD_FROM = 32 * 1024 };

struct session;

/* Who talks to whom; the pointers live as long as the call that asked. */
struct session_identity {
  const char *service; /* the protocol's name, for the log */
  const char *host;    /* the peer, numeric */
  const char *name;    /* the peer's name if it was looked up, else the same as host */
  unsigned port;
  const char *server_host;
  unsigned server_port;
};

/* So that peers cannot flood the log, and what they do hides no error of the script. All zeros at
 * first; shared by many sessions. */
enum { SESSION_PLACES = 16 };
struct session_failures {
  struct log_limit of_peers;
  struct log_limit of_places[SESSION_PLACES]; /* in the script, by their hash */
};

struct session_owner {
  /* Fills in the identity. Called seldom: for the log, and when the script wants to know. */
  void (*identify)(struct session_owner *owner, struct session_identity *identity);
  struct session_failures *failures;
  int64_t ask_pause;         /* ms: see session_deadline(); 0: none */
  struct held_strings *held; /* of many sessions; NULL: those of each count as its own */
  /* What time it is now. It is asked when the handler has run, which may have taken long.
   * NULL: no time passes meanwhile. */
  int64_t (*now)(struct session_owner *owner);
  /* A stream that has nothing for now is asked again at session_deadline(), in the owner's real
   * time. False: whoever reads from one waits for it (in simulated time there is no other way to
   * have it at the same time again). */
  bool asks_later;
};

/* ---- the owner's side ---------------------------------------------------------------------- */

/* The owner must outlive the session, and so must the handler unless it gets a successor. NULL when
 * there is no memory. */
struct session *session_create(struct handler *handler, struct session_owner *owner, int64_t now);

/* Runs the handler for SESSION_CONNECT, if it wants that. */
void session_start(struct session *session, int64_t now);

/* The session holds an unfinished request: *space is where its next bytes should be read to, to
 * save a copy. False: read into any buffer of your own. */
bool session_space(struct session *session, struct span *space);

/* Bytes have arrived, in the space of session_space() or anywhere else; they are used up within the
 * call. Runs the handler for every request that is complete now. */
void session_receive(struct session *session, const char *bytes, size_t length, int64_t now);

/* The peer has stopped sending; it may still read. */
void session_receive_end(struct session *session, int64_t now);

/* Does what can be done after output was sent: the next piece, the next request. */
void session_resume(struct session *session, int64_t now);

/* The handler has had its share of time, and something is left to be done that waits for nothing:
 * session_resume() should be called when the others have had their turn. */
bool session_wants_turn(const struct session *session);

/* How many of the bytes that were received belong to no request that was answered. */
size_t session_unanswered(const struct session *session);

/* Whether bytes should be read for it now: false while too much output waits (back pressure). */
bool session_wants_input(const struct session *session);

/* The output that is next: up to `capacity` spans of bytes, which stay valid until the session is
 * next called, or a part of a file. */
struct session_output {
  size_t count;       /* of spans */
  bool more;          /* other output stands behind these spans */
  int file;           /* -1, or a descriptor to send from when count is 0 */
  int64_t offset;     /* in the file */
  size_t file_length; /* to send from there on */
};
void session_output(const struct session *session, struct span *spans, size_t capacity,
                    struct session_output *output);

/* So many bytes of what session_output() gave have been sent. */
void session_sent(struct session *session, size_t length, int64_t now);

/* The peer goes on taking what was sent to it before: limits of time that count from its progress
 * begin anew. */
void session_delivered(struct session *session, int64_t now);

/* The file at the head of the output ended before its length, or could not be read. */
void session_file_failed(struct session *session, int64_t now);

/* Part of a response is still to be pulled, or stands where it was handed over. */
bool session_is_responding(const struct session *session);

/* Whether session_output() has something to send. */
bool session_has_output(const struct session *session);

/* When session_expire() should be called if nothing happens before; CLOCK_NEVER if never. That may
 * be because the handler has still to be asked about an unfinished request: where more than 16 KiB
 * wait, and less than a sixty-fourth of them is new, only after the owner's ask_pause. */
int64_t session_deadline(const struct session *session);
void session_expire(struct session *session, int64_t now);

/* The handler has a successor (handler.h): moves the conversation over if it has nothing in hand,
 * and else leaves that to the call in which it has finished. It costs next to nothing where there
 * is nothing to do, and never runs the handler; what was the last conversation of a handler may
 * free that. True: it has the newest handler, or is over and keeps the one it has. A move can
 * change what session_deadline() and session_wants_turn() say. */
bool session_migrate(struct session *session, int64_t now);

/* The memory that it has for an unfinished request and for output that was not sent. A long
 * string that several sessions send counts for one of them; files do not count. */
size_t session_memory(const struct session *session);

/* Strings that it sends, and that counted for a session which is done with them, count for it. */
void session_claim(struct session *session);

/* How many parts of files its output holds, and streams that have nothing, each with a descriptor.
 */
size_t session_files(const struct session *session);

/* The server has too much in memory, and this conversation has the most: ends it with
 * REASON_OVERLOADED. True: its output was given up; false: the last words are still to be sent. */
bool session_refuse(struct session *session, int64_t now);

/* When its last response had gone out, or its unfinished request began; else when it was made. */
int64_t session_idle_since(const struct session *session);

/* The server is stopping: finish what is in hand, then end. */
void session_drain(struct session *session, int64_t now);

/* Ends it now, output and all. A session that has ended already keeps its first reason. */
void session_abort(struct session *session, enum reason reason, int64_t now);

/* Nobody may wait for it any more: session_destroy() will not tell the handler. */
void session_abandon(struct session *session);

/* It has ended and all its output is out: close the connection. */
bool session_finished(const struct session *session);

/* Why it ended, or is going to when its output is out; REASON_NONE while it goes on. */
enum reason session_reason(const struct session *session);

/* What a framing had the peer told last while it waited, in between the responses; NULL: nothing. A
 * static text. Whether it is told depends on how the bytes of the request arrived. */
const char *session_interim(const struct session *session);

/* The requests that were answered. */
uint64_t session_requests(const struct session *session);

/* Tells the handler (SESSION_CLOSE) unless it was abandoned, gives up everything, frees. Ends it
 * with REASON_STOPPED if it has not ended. */
void session_destroy(struct session *session, int64_t now);

/* ---- the handler's side -------------------------------------------------------------------- */

enum session_step {
  SESSION_WAIT,    /* nothing to do before something happens */
  SESSION_CONNECT, /* first words; report with session_answered() */
  SESSION_ASK,     /* is session_input() a request? report with session_set_verdict() */
  SESSION_EXPECT,  /* the peer would wait for a word before it sends the body of its request, of
                    * which the head is at the front of session_input(): may it? report with
                    * session_go_on(), or with a response and session_answered(), which ends the
                    * conversation */
  SESSION_ANSWER,  /* respond to the request; report with session_answered() */
  SESSION_PULL,    /* the stream session_stream() has its turn: session_pulled() */
  SESSION_ERROR,   /* last words, see session_failure(); report with session_answered() */
  SESSION_CLOSE    /* it is over, see session_reason(); report with session_closed() */
};

/* What to do now. Asking again without having done it gives the same answer. */
enum session_step session_next(struct session *session);

/* The handler has worked long enough on end: session_next() is SESSION_WAIT until the owner calls
 * session_resume(). */
void session_yield(struct session *session);

/* The bytes that are buffered: at SESSION_ANSWER the request and what came behind it. Where many
 * small requests are buffered, SESSION_ASK shows the first of them only, as if no more had arrived
 * yet: whoever copies what is shown would otherwise copy all of it for each request. */
struct span session_input(const struct session *session);

/* At SESSION_ANSWER with a framing: what it found, until the session is next called. */
const struct framing_answer *session_framed(const struct session *session);

/* The peer has stopped sending, and session_input() is all that there is. */
bool session_at_end(const struct session *session);

enum session_verdict {
  SESSION_PARTIAL,   /* not complete, and not before `length` bytes are there (0: unknown) */
  SESSION_COMPLETE,  /* the first `length` bytes are the request */
  SESSION_MALFORMED, /* never: `why` says so */
  SESSION_TOO_LARGE  /* it is over a limit: `why` says which */
};

/* The answer to SESSION_ASK. `length` must be in range: at most the input for COMPLETE. True: the
 * next step is SESSION_ANSWER. */
bool session_set_verdict(struct session *session, enum session_verdict verdict, size_t length,
                         const char *why);

/* At SESSION_ASK: a framing that the handler has called has this for a peer that waits before it
 * sends on, as in framing_answer.interim. If it is judged PARTIAL then, the peer is told, once for
 * each request. At other times nothing is done. */
void session_offer(struct session *session, const char *interim);

/* The answer to SESSION_EXPECT. If the peer does wait, it is told what the framing has for it. */
void session_go_on(struct session *session);

/* Queue output: copied bytes; bytes that stay where they are until `reference` is released;
 * `length` bytes of a file from `offset`; a stream that is pulled when its turn comes. On failure
 * (memory) the reference is still the caller's. */
enum status session_send(struct session *session, const char *bytes, size_t length);
enum status session_send_held(struct session *session, const char *bytes, size_t length,
                              int reference);
enum status session_send_file(struct session *session, int file, int64_t offset, size_t length,
                              int reference);
enum status session_send_stream(struct session *session, int reference);

/* The response is complete as queued; `close` ends the conversation when it is out. */
void session_answered(struct session *session, bool close);

/* At SESSION_PULL: the reference of the stream whose turn it is. */
int session_stream(const struct session *session);

/* Its next piece, copied; bytes NULL: it has ended and is released. */
enum status session_pulled(struct session *session, const char *bytes, size_t length);

/* Whether a stream may have nothing for now, and so be asked again later. */
bool session_asks_later(const struct session *session);

/* It has nothing for now: SESSION_PULL comes again after a pause, which grows from 10 to 100 ms.
 * The peer has nothing to take meanwhile, and no write_timeout; a stream that has nothing for as
 * long as idle_timeout ends the conversation with REASON_FILE_ERROR. */
void session_pulled_nothing(struct session *session);

/* The request or the response cannot be: logs it with its first bytes, then last words, then the
 * end. What was queued before still goes out. `detail` is copied; it may hold several lines. */
void session_fail(struct session *session, enum reason reason, const char *detail);

/* At SESSION_ERROR: what went wrong; never NULL, lives until the session is next called. */
const char *session_failure(const struct session *session);

/* Whether session_next() is SESSION_CLOSE, which it is until the answer to that. */
bool session_is_at_close(const struct session *session);

/* The answer to SESSION_CLOSE. */
void session_closed(struct session *session);

/* Who is talking. */
void session_identify(struct session *session, struct session_identity *identity);

/* A place for the handler's own record of this conversation; 0 at first. */
int session_client(const struct session *session);
void session_set_client(struct session *session, int client);

/* And for a few bits of its own, with the same life. */
unsigned session_marks(const struct session *session);
void session_set_marks(struct session *session, unsigned marks);

/* The handler has looked at so many bytes of the input. session_take_looked() gives the sum since
 * it was last called. */
void session_look(struct session *session, size_t length);
size_t session_take_looked(struct session *session);

#endif
