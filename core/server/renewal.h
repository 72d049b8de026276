/* renewal.h: new handlers for the services when the files that they are made from change. Private
 * to the server room.
 *
 * The watcher tells that files have changed and have come to rest; whether that makes a new handler
 * is the business of each service's provider; if it is to be checked first, see preflight.h. SIGHUP
 * asks them all at once.
 *
 * A provider that takes long has turns of the loop in between: they renew nothing. */
#ifndef SERVER_RENEWAL_H
#define SERVER_RENEWAL_H

#include "server/loop.h"

/* Begins to watch the files of all services. Without it, only SIGHUP renews. STATUS_ERROR,
 * errno: the watcher cannot be had. */
enum status renewal_watch(struct server *server);

/* When renewal_look() should next be called; CLOCK_NEVER. */
int64_t renewal_deadline(const struct server *server);

/* Between two turns: renews what has changed and come to rest, or, if the server is asked to, every
 * service. Others may go on meanwhile: see server_let_others(). */
void renewal_look(struct server *server);

void renewal_end(struct server *server);

#endif
