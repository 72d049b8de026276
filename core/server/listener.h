/* listener.h: accepts connections. Private to the server room.
 *
 * Connections are taken in batches. When there is no room for more, the listeners are paused and
 * their backlogs wait; that is logged once. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "io/socket.h"
#include "server/loop.h"

/* Listens on an address for a service, and logs the address. `access` is for Unix sockets. On
 * failure *why says what failed. */
enum status listener_open(struct service *service, const struct address *address,
                          const struct socket_access *access, const char **why);

/* To be called when a connection has ended: resumes the paused listeners that have room again. */
void listener_resume(struct server *server);

/* Accepts the connections in the backlogs as far as there is room. They may have sent a request,
 * which would be lost when the listeners are closed. */
void listener_accept_rest(struct service *service);

/* Stops listening for good. */
void listener_close_all(struct service *service);

#endif
