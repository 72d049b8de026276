/* How a living conversation gets the successor of its handler: see handler.h. */
#include <assert.h>

#include "session/conversation.h"

static struct handler *newest(struct handler *handler) {
  while (handler->successor) handler = handler->successor;
  return handler;
}

void conversation_leave(struct handler *handler) {
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
  conversation_leave(old);
}

bool session_migrate(struct session *session, int64_t now) {
  assert(!session->running);
  if (!session->handler->successor || session->state > STATE_ANSWERING) return true;
  if (!conversation_is_between(session)) return false;
  session->now = now;
  session_change_handler(session);
  return true;
}
