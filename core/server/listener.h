/* listener.h: accepting. Private to the server room.
 *
 * Connections are taken in batches. When there is no room for more, the listeners are paused and
 * their backlogs wait; that is logged once. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "server/loop.h"

/* Listens on an address for a service and logs what came of it. */
enum status listener_open(struct service *service, const struct address *address, const char **why);

/* Room may have come free: the paused listeners go on, as far as their limits allow. */
void listener_resume(struct server *server);

/* Accepts who waits, as far as there is room: they may have sent a request, and would lose it when
 * the listeners are closed. */
void listener_accept_rest(struct service *service);

/* Stops listening for good. */
void listener_close_all(struct service *service);

#endif
