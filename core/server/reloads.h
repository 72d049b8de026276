/* reloads.h: reloads services when their files change. Private to the server room.
 *
 * The watcher tells that files have changed and that nobody writes them any more. The provider of
 * each service decides whether there is a new version. SIGHUP forces a reload of all services. If a
 * new version must be checked first, see preflight.h.
 *
 * A provider may compile a new version on a thread. Until it has finished, no other service is
 * reloaded, no check begins, and the end of no check is looked at. */
#ifndef SERVER_RELOADS_H
#define SERVER_RELOADS_H

#include "server/loop.h"

/* Begins to watch the files of all services. Without it, only SIGHUP reloads. STATUS_ERROR: errno
 * tells why there is no watcher. */
enum status reloads_watch(struct server *server);

/* Returns when reloads_run() has to be called, or CLOCK_NEVER. */
int64_t reloads_deadline(const struct server *server);

/* Takes the next step of each reload that is due. To be called between two turns of the loop. */
void reloads_run(struct server *server);

/* Whether a reload was requested and has not ended. One that waits for missing files has. */
bool reloads_are_under_way(const struct server *server);

/* Stops watching. */
void reloads_end(struct server *server);

#endif
