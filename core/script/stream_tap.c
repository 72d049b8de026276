#include "script/stream_tap.h"

#include <stdio.h>
#include <string.h>

#include "script/kept.h"
#include "script/script_internal.h"
#include "script/task.h"
#include "session/session.h"

struct session *stream_tap_session(const struct task *task) {
  return task->session && session_tap(task->session) ? task->session : NULL;
}

void stream_tap_event(const struct session *session, uint32_t number, enum tap_event event,
                      struct span bytes) {
  struct tap *tap = session_tap(session);
  if (tap) tap->on_event(tap, number, event, bytes);
}

void stream_tap(const struct stream *stream, enum tap_event event, struct span bytes) {
  if (stream->session) stream_tap_event(stream->session, stream->number, event, bytes);
}

void stream_tap_use(struct stream *stream, const struct task *task) {
  struct session *session = stream_tap_session(task);
  if (stream->kind != STREAM_CONNECTION || !session || session == stream->session) return;
  struct tap *tap = session_tap(session);
  stream->script->has_taps = true;
  stream->session = session;
  stream->number = tap->on_connect(tap, stream->address);
  if (stream->channel) stream_tap_opened(stream);
}

void stream_tap_opened(const struct stream *stream) {
  stream_tap(stream, TAP_OPENS, (struct span){NULL, 0});
  if (stream->tls_phase == STREAM_TLS_ON) stream_tap(stream, TAP_ENCRYPTS, (struct span){NULL, 0});
}

void stream_tap_failure(const struct stream *stream, enum tap_event event, const char *code,
                        const char *why) {
  char text[512];
  int length = snprintf(text, sizeof text, "%.20s%c%.480s", code, '\0', why);
  stream_tap(stream, event, (struct span){text, (size_t)length});
}

void stream_tap_forget(struct script *script, const struct session *session) {
  if (!script->has_taps) return;
  for (struct stream *stream = script->streams; stream; stream = stream->next)
    if (stream->session == session) stream->session = NULL;
  kept_forget(script, session);
}
