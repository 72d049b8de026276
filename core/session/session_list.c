#include "session/session_list.h"

#include <stddef.h>

#include "session/push.h"
#include "session/session_internal.h"

struct session *session_list_live(struct session *session) {
  while (session && !session_takes_pushes(session)) session = session->next;
  return session;
}

struct session *session_list_next(const struct session *session) {
  return session->next;
}

struct handler *session_list_handler(const struct session *session) {
  return session->handler;
}

void session_list_add(struct session_list *list, struct session *session) {
  session->previous = list->last;
  if (session->previous)
    session->previous->next = session;
  else
    list->first = session;
  list->last = session;
}

void session_list_remove(struct session_list *list, struct session *session) {
  if (session->previous)
    session->previous->next = session->next;
  else
    list->first = session->next;
  if (session->next)
    session->next->previous = session->previous;
  else
    list->last = session->previous;
}
