/* How a living conversation gets the successor of its handler: see handler.h. */
#include <assert.h>

#include "session/session_internal.h"

static struct handler *newest(struct handler *handler) {
  while (handler->successor) handler = handler->successor;
  return handler;
}

void session_leave_handler(struct handler *handler) {
  bool is_last = --handler->sessions == 0 && handler->successor;
  if (is_last && handler->on_unused) handler->on_unused(handler);
}

/* What is buffered stays. How much of it is shown was found out by other rules. */
void session_change_handler(struct session *session) {
  assert(session->length == 0 && session->progress.seen == 0);
  struct handler *old = session->handler;
  struct handler *successor = newest(old);
  if (old->migrate) old->migrate(old, session, successor);
  session->handler = successor;
  successor->sessions++;
  session->window = 0;
  if (!successor->wants_on_connect && session->state == STATE_OPENING)
    session->state = STATE_READING;
  session_leave_handler(old);
}

bool session_migrate(struct session *session, int64_t now) {
  assert(!session->running);
  if (!session->handler->successor || session->state > STATE_ANSWERING) return true;
  if (!session_is_between_requests(session)) return false;
  session->now = now;
  session_change_handler(session);
  return true;
}
