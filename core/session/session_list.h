/* session_list.h: all sessions of a service, in the order in which they were created.
 *
 * The owner of the handlers has the list; each of its handlers, old and new, leads to it. The
 * session room adds and removes the sessions. */
#ifndef SESSION_SESSION_LIST_H
#define SESSION_SESSION_LIST_H

struct handler;
struct session;

/* All zeros is an empty list. */
struct session_list {
  struct session *first;
  struct session *last;
};

/* The first session at or behind this one that is not over and will not close; NULL: there is none.
 * `session` may be NULL. */
struct session *session_list_live(struct session *session);

/* The one behind it; NULL: it is the last. */
struct session *session_list_next(const struct session *session);

/* The handler that a session has now. */
struct handler *session_list_handler(const struct session *session);

/* For the session room. */
void session_list_add(struct session_list *list, struct session *session);
void session_list_remove(struct session_list *list, struct session *session);

#endif
