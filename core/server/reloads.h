/* reloads.h: new handlers for the services when the files that they are made from change. Private
 * to the server room.
 *
 * The watcher tells that files have changed and that nobody writes them any more. Whether that
 * makes a new handler is the business of each service's provider. SIGHUP asks all providers at
 * once. If a new version has to be checked first, see preflight.h.
 *
 * A provider may compile a new version on a thread. Until it has finished, no other service is
 * reloaded, and no check begins or is judged. */
#ifndef SERVER_RELOADS_H
#define SERVER_RELOADS_H

#include "server/loop.h"

/* Begins to watch the files of all services. Without it, only SIGHUP reloads. STATUS_ERROR,
 * errno: the watcher cannot be had. */
enum status reloads_watch(struct server *server);

/* When reloads_run() should next be called; CLOCK_NEVER. */
int64_t reloads_deadline(const struct server *server);

/* Takes the next step of what is to be reloaded. To be called between two turns. */
void reloads_run(struct server *server);

void reloads_end(struct server *server);

#endif
