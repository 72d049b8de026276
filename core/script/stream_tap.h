/* stream_tap.h: tells the tap of a session (base/tap.h) what is said on the streams that its tasks
 * use. A connection to another server belongs to the session whose task has used it last; pipes of
 * programs and bodies of requests belong to none. */
#ifndef SCRIPT_STREAM_TAP_H
#define SCRIPT_STREAM_TAP_H

#include <stdbool.h>

#include "base/span.h"
#include "base/tap.h"
#include "script/stream.h"

struct session;
struct task;

/* Whose streams it uses; NULL: its session has no tap. */
struct session *stream_tap_session(const struct task *task);

/* The task is about to connect the stream, or uses it. Does nothing if it is no connection to
 * another server. */
void stream_tap_use(struct stream *stream, const struct task *task);

/* Does nothing if the stream belongs to no session. */
void stream_tap(const struct stream *stream, enum tap_event event, struct span bytes);

/* The same for what has been a stream of this session, with its number. */
void stream_tap_event(const struct session *session, uint32_t number, enum tap_event event,
                      struct span bytes);

/* The stream is not connected (TAP_FAILS), or has no TLS (TAP_ENCRYPTS): `code` as of net.connect,
 * and why. */
void stream_tap_failure(const struct stream *stream, enum tap_event event, const char *code,
                        const char *why);

/* The stream has a channel. */
void stream_tap_opened(const struct stream *stream);

/* The session ends, or has no tap any more. */
void stream_tap_forget(struct script *script, const struct session *session);

#endif
