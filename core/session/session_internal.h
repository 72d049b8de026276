/* session_internal.h: the inside of a session, shared by the owner's side (session.c) and the
 * handler's (steps.c). Private to the session room. */
#ifndef SESSION_SESSION_INTERNAL_H
#define SESSION_SESSION_INTERNAL_H

#include "session/output.h"
#include "session/session.h"
#include "session/steps.h"

enum state {
  STATE_OPENING,   /* before the first request */
  STATE_READING,   /* between requests, or in the middle of one */
  STATE_EXPECTING, /* the handler is asked whether the peer may send the rest of its request */
  STATE_ANSWERING, /* a request is complete and wants its response */
  STATE_FAILING,   /* the last words are due */
  STATE_CLOSING,   /* the rest of the output goes out, nothing else is asked */
  STATE_ENDED,     /* nothing is left to be done */
  STATE_NOTIFYING  /* the handler is told */
};

struct session {
  struct handler *handler;
  struct session_owner *owner;
  struct buffer *kept;  /* input of an unfinished request; NULL while there is none */
  struct span borrowed; /* input that still lies in the owner's buffer: only during a call */
  size_t window;        /* how much of the input the handler is shown; 0: all */
  /* In STATE_ANSWERING the length of the request; before that the fewest bytes that it can have, or
   * 0 if nothing is known of it. */
  size_t length;
  struct framing_progress progress;
  struct framing_answer *answer; /* the last one of the framing; NULL outside of run() */
  struct output output;
  const char *offered; /* what the framing has for a peer that waits; NULL: nothing */
  const char *interim; /* what of that the peer was told last; NULL: nothing yet */
  char *failure;       /* what went wrong, until the last words are said; NULL if unknown */
  uint64_t requests;
  int64_t now;
  int64_t read_since;         /* the request's first byte, or the end of the last response */
  int64_t write_since;        /* the last progress of the peer in taking output */
  int64_t stream_retry_at;    /* when a stream that had nothing is asked again; 0: at once */
  int64_t stream_empty_since; /* and when it first had nothing */
  size_t looked;              /* see session_count_looked() */
  size_t asked;     /* without a framing: how much of an unfinished request was shown in vain; 0 */
  int64_t asked_at; /* and when */
  int client;
  unsigned marks : 8;
  unsigned stream_pause : 8; /* ms; 0: it had something when it was last asked */
  enum state state : 8;
  enum reason reason : 8;
  bool at_end : 1; /* the peer has stopped sending */
  bool paused : 1; /* the output went over the high-water mark and not yet under the low one */
  bool draining : 1;
  bool queueing : 1; /* the step at hand has queued output and not yet reported */
  bool yielded : 1;  /* the handler has had its share of time and has not done everything */
  bool abandoned : 1;
  bool running : 1;
  bool begun : 1;    /* a request was looked at and is not answered yet */
  bool expected : 1; /* whether that request may go on was asked and answered */
};

/* The bytes that were received and are part of no answered request. */
static inline struct span session_buffered(const struct session *session) {
  return session->kept ? buffer_bytes(session->kept) : session->borrowed;
}

/* A stream is pulled while less than this waits before it: enough for a write worth its call. */
enum { PULL_BELOW = 16 * 1024 };

/* Whether it is the turn of a stream, and not too much waits before it. */
static inline bool session_must_pull(const struct session *session) {
  return output_stream(&session->output) && buffer_bytes(session->output.front).length < PULL_BELOW;
}

/* Ends the conversation when its output is out. */
void session_begin_close(struct session *session, enum reason reason);

/* Gives up pieces of output. */
void session_release_pieces(struct session *session, struct piece *pieces);

/* Drops from the input. */
void session_consume(struct session *session, size_t length);

/* When the handler may be asked again about an unfinished request of which little is new; before
 * `now`: at once. */
int64_t session_ask_time(const struct session *session);

/* Whether the conversation has nothing in hand that is its handler's. */
static inline bool session_is_between_requests(const struct session *session) {
  if (session->state == STATE_READING) return !session->begun && !session->output.first;
  return session->state == STATE_OPENING;
}

/* Gives it the newest handler, which there must be, and may free the one that it had. Not from
 * within run(). */
void session_change_handler(struct session *session);

/* A handler has got a conversation less; may free the handler. */
void session_leave_handler(struct handler *handler);

#endif
