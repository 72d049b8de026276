/* session_internal.h: the inside of a session, shared by the owner's side (session.c) and the
 * handler's (steps.c). Private to the session room. */
#ifndef SESSION_SESSION_INTERNAL_H
#define SESSION_SESSION_INTERNAL_H

#include "session/body.h"
#include "session/output.h"
#include "session/session.h"
#include "session/steps.h"
#include "session/tunnel.h"

enum state {
  STATE_OPENING,   /* Before SESSION_CONNECT was reported. */
  STATE_READING,   /* Between requests, or in the middle of one. */
  STATE_DROPPING,  /* Between two requests: what is left of the body of the first is dropped. */
  STATE_SECURING,  /* Between two requests: the owner secures the connection when all is sent. */
  STATE_EXPECTING, /* At SESSION_EXPECT. */
  STATE_DATAGRAM,  /* At SESSION_DATAGRAM, or before it. */
  STATE_ANSWERING, /* At SESSION_ANSWER. */
  STATE_FAILING,   /* At SESSION_ERROR. */
  STATE_CLOSING,   /* The rest of the output is sent, and no more requests are taken. */
  STATE_ENDED,     /* The output is sent or dropped. */
  STATE_NOTIFYING  /* At SESSION_CLOSE. */
};

/* Whether the session is to be ended in its next turn (push.h). */
enum closes {
  CLOSES_NOT,
  CLOSES_GENTLY, /* What is queued is sent. */
  CLOSES_SLOW,   /* What is queued is dropped. */
  CLOSES_CUT,    /* The same: its tunnel was torn down. */
  CLOSES_BROKEN  /* The same: the other end of its tunnel has broken. */
};

enum tunnel_phase {
  TUNNEL_NONE,
  TUNNEL_OPEN,
  TUNNEL_OVER /* All was passed on both ways. */
};

struct session {
  struct handler *handler;
  struct session_owner *owner;
  struct session *next; /* In the list of its service. */
  struct session *previous;
  struct buffer *kept;  /* The input of an unfinished request; NULL: there is none. */
  struct span borrowed; /* Input in the owner's buffer, during a call only. */
  size_t window;        /* How much of the input the handler is shown; 0: all. */
  /* In STATE_ANSWERING the length of the request; before that the fewest bytes that it can have, or
   * 0 if nothing is known of it. */
  size_t length;
  struct framing_progress progress;
  struct framing_answer *answer; /* The framing's last answer; NULL outside of run(). */
  struct output output;
  struct output *later; /* Blobs that wait until the response is complete; NULL: there are none. */
  union {
    size_t pushed;    /* At most so many bytes of `output` and `later` were pushed. */
    size_t allowance; /* Of a datagram: so many bytes may still be sent; SIZE_MAX: any. */
  };
  char *closed_with;   /* The text of session_close(); NULL: none. */
  const char *offered; /* The interim response of the framing; NULL: none. */
  const char *interim; /* The last interim response that was sent; NULL: none. */
  char *failure;       /* The detail of the failure, until SESSION_ERROR is reported. */
  uint64_t requests;
  int64_t now;
  int64_t read_since;         /* When the request began, or the last response was sent. */
  int64_t write_since;        /* When the peer last took output. */
  int64_t stream_retry_at;    /* When a stream that had nothing is asked again; 0: at once. */
  int64_t stream_empty_since; /* When that stream first had nothing. */
  size_t looked;              /* See session_count_looked(). */
  size_t asked;        /* Bytes that had arrived at the last SESSION_PARTIAL; 0: there was none. */
  int64_t asked_at;    /* When that was. */
  void *task;          /* The handler's, while the session is suspended. */
  int64_t waits_since; /* When the step was suspended for the first time. */
  int64_t own_timeout; /* See session_set_response_timeout(); 0: none. */
  struct tap *tap;     /* See session_set_tap(). */
  void *attachment;    /* The handler's: see session_attachment(). */
  struct session_body *body; /* See body.h; NULL: there is none. */
  uint32_t own_timeout_of;   /* The number of the request that it is for. */
  int client;
  unsigned marks : 8;
  unsigned stream_pause : 8; /* ms; 0: the stream had something when it was last asked. */
  enum state state : 8;
  enum state waits_in : 8; /* The state in which it was suspended. */
  enum reason reason : 8;
  enum session_await awaits : 2; /* What the step that waits has asked for. */
  bool at_end : 1;               /* The peer has stopped sending. */
  bool paused : 1; /* The output was over the high-water mark, and is not yet under the low one. */
  bool draining : 1;
  bool yielded : 1; /* The handler has used its share of time. */
  bool abandoned : 1;
  bool running : 1;
  bool suspended : 1; /* A step of the handler waits. */
  bool woken : 1;     /* What it waits for has come, or it was cancelled. */
  /* These are cleared together when a step is reported, and so stand in one byte. */
  bool queueing : 1;   /* The current step has queued output and is not reported yet. */
  bool has_waited : 1; /* The step was suspended before, or is so. */
  bool begun : 1;      /* A request was looked at and is not answered yet. */
  bool expected : 1;   /* SESSION_EXPECT was reported, or skipped, for this request. */
  bool noted : 1;      /* `later`, or closes_after, is to be looked at when the step is reported. */
  bool closes_after : 1; /* The session ends with this step. */
  bool secures : 1;      /* See session_secure(). */
  enum closes closes : 3;
  enum tunnel_phase tunnel : 2;
  bool said_all : 1;   /* The peer is told that nothing more comes. */
  bool joined : 1;     /* The owner moves the bytes of the tunnel. */
  bool blocked : 1;    /* While joined: the peer does not take what there is for it. */
  bool wants_body : 1; /* The user of the body waits for bytes. */
  bool is_datagram : 1;
};

/* The bytes that were received and are part of no answered request. */
static inline struct span session_buffered(const struct session *session) {
  return session->kept ? buffer_bytes(session->kept) : session->borrowed;
}

/* A stream is pulled while fewer bytes than these wait before it. */
enum { PULL_BELOW = 16 * 1024 };

/* Whether a stream is at the head of the pieces, and few bytes wait before it. */
static inline bool session_must_pull(const struct session *session) {
  return output_stream(&session->output) && buffer_bytes(session->output.front).length < PULL_BELOW;
}

/* Ends the session when its output is sent. */
void session_begin_close(struct session *session, enum reason reason);

/* Queues a piece with held bytes, whose `left` is set. */
enum status session_hold(struct session *session, struct output *output, struct piece *piece);

/* A response is complete: queues what was pushed meanwhile behind it; or drops that. */
void session_join_later(struct session *session);
void session_drop_later(struct session *session);

/* There will be no security: drops what was to be sent by it. */
void session_give_up_securing(struct session *session);

/* The response is queued. True: the state is STATE_SECURING, and what is pushed from now on waits
 * until the connection is secure. False: the session ends with the response. */
bool session_begin_securing(struct session *session);

/* At STATE_SECURING: ends the session if the peer has sent anything, or will not, or if the server
 * is stopping. */
void session_look_while_securing(struct session *session);

/* Nothing is in hand, and nothing more will come: ends the session. */
void session_end_between(struct session *session);

/* Does what `closes` asks for, which is not CLOSES_NOT. Outside of the handler. */
void session_obey_close(struct session *session);

/* Ends the session at once, and drops its output. */
void session_drop_output(struct session *session, enum reason reason);

/* Releases the references of the pieces, and frees the pieces, which hold no copied bytes any more.
 */
void session_release_pieces(struct session *session, struct piece *pieces);

/* Drops bytes from the front of the input. */
void session_consume(struct session *session, size_t length);

/* When the handler may be asked again about an unfinished request of which little is new; now or
 * earlier: at once. */
int64_t session_ask_time(const struct session *session);

/* Gives back the request that is being answered, unless that was done. */
void session_consume_request(struct session *session);

/* Sets up the body of the request that was answered FRAMING_HEAD. False: there is no memory. */
bool session_begin_body(struct session *session);

/* Bytes have come, or the end, which the user of the body waits for. */
void session_tell_body(struct session *session);

/* The step that has the body is reported: from now on it is STATE_DROPPING. */
void session_leave_body(struct session *session, bool close);

/* At STATE_DROPPING, when the response needs the body no more: drops what has come of it. True: it
 * is over, and the state is STATE_READING. False: more must come, or the session is closing. */
bool session_drop_body(struct session *session);

/* Bytes of the body that its user has. */
size_t session_body_memory(const struct session *session);

/* Ends the body, if there is one. */
void session_end_body(struct session *session);

/* Output was queued, or input is wanted, and the owner may not look when the handler is back. */
void session_tell_owner(struct session *session);

/* While a body is wanted, so many bytes may wait to be looked at: one read. */
enum { BODY_AHEAD = 64 * 1024 };

/* Whether the step awaits bytes of the peer. */
static inline bool session_awaits_input(const struct session *session) {
  return session->awaits == SESSION_AWAIT_INPUT || session->awaits == SESSION_AWAIT_TUNNEL;
}

/* Whether the step awaits that the peer takes bytes. */
static inline bool session_awaits_room(const struct session *session) {
  return session->awaits == SESSION_AWAIT_ROOM || session->awaits == SESSION_AWAIT_TUNNEL;
}

/* Bytes have come, or their end. */
void session_note_input(struct session *session);

/* At STATE_ANSWERING: the request was given back and is answered. */
static inline void session_end_request(struct session *session) {
  session->requests++;
  session->progress = (struct framing_progress){0};
  session->asked = 0;
  session->read_since = session->now;
}

/* What the step awaits may have come. */
void session_note_progress(struct session *session);

/* When a suspended step has waited for too long, and for what. */
int64_t session_wait_deadline(const struct session *session, enum reason *reason);

#endif
