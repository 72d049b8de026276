/* How a living conversation gets the successor of its handler: see handler.h. */
#include <assert.h>

#include "session/conversation.h"

static struct handler *newest(struct handler *handler) {
  while (handler->successor) handler = handler->successor;
  return handler;
}

void conversation_leave(struct handler *handler) {
  bool is_last = --handler->sessions == 0 && handler->successor;
  if (is_last && handler->vacant) handler->vacant(handler);
}

/* What is buffered stays. How much of it is shown was found out by other rules. */
void conversation_move(struct session *session) {
  assert(session->framed.length == 0 && session->framed.seen == 0);
  struct handler *old = session->handler;
  struct handler *successor = newest(old);
  if (old->move) old->move(old, session, successor);
  session->handler = successor;
  successor->sessions++;
  session->window = 0;
  if (!successor->greets && session->state == STATE_GREETING) session->state = STATE_READING;
  conversation_leave(old);
}

bool session_move(struct session *session, int64_t now) {
  assert(!session->working);
  if (!session->handler->successor || session->state > STATE_ANSWERING) return true;
  if (!conversation_is_between(session)) return false;
  session->now = now;
  conversation_move(session);
  return true;
}
