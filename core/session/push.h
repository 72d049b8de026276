/* push.h: what a script may do to a session at any time: send it bytes that answer no request, and
 * end it.
 *
 * Nothing here runs the handler or frees a session, so that it may all be called from within any
 * handler, also that of another session. What is to be done is noted; the owner of the session is
 * told (session_hooks.on_output, session_hooks.wake) and does it in a later turn. */
#ifndef SESSION_PUSH_H
#define SESSION_PUSH_H

#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "session/session.h"

enum push_result {
  PUSH_QUEUED,
  PUSH_OVER,       /* The session is over, or will be when its output is sent. */
  PUSH_TUNNEL,     /* The session is a tunnel now. */
  PUSH_FULL,       /* More than limits.max_unsent pushed bytes would wait to be sent. */
  PUSH_OVERLOADED, /* The owner has too much in memory, for all its sessions together. */
  PUSH_TOO_LARGE,  /* A datagram cannot be so large. */
  PUSH_AMPLIFIES,  /* The answers to a datagram would be larger than the protocol allows. */
  PUSH_NO_MEMORY
};

/* Whether session_push() is not PUSH_OVER. */
bool session_takes_pushes(const struct session *session);

/* Queues bytes. They go out behind what is queued, but not within a response: where a response has
 * begun and is not complete, they wait until it is. `now` is in ms. */
enum push_result session_push(struct session *session, const char *bytes, size_t length,
                              int64_t now);

/* The same with bytes that many sessions share: the session holds the blob, and copies only a few
 * bytes that join others. */
enum push_result session_push_blob(struct session *session, struct blob *blob, int64_t now);

/* Ends the session with REASON_CLOSED when what is queued is sent; no further request is answered.
 * A step that waits is cancelled, and a stream is cut off. From within a step of its own handler
 * nothing is cut: the session ends when the step is complete, and its response and the streams are
 * sent. `why` is copied: see session_reason_text(). It has at most SESSION_WORD_MAX bytes; NULL:
 * none. Returns PUSH_QUEUED, PUSH_OVER or PUSH_NO_MEMORY. */
enum push_result session_close(struct session *session, const char *why);

/* Ends a session with REASON_SLOW_READER and drops its output, in a later turn. */
void session_close_slow(struct session *session);

#endif
