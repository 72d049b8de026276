/* preflight.h: a program checks a new version of a service before it takes over. Private to the
 * server room.
 *
 * The program runs in a process of its own, and the loop never waits for it. Each service has one
 * check at a time, and at most two checks run in the whole server. When the files of a service
 * change during its check, the program is killed and another check begins. */
#ifndef SERVER_PREFLIGHT_H
#define SERVER_PREFLIGHT_H

#include "server/loop.h"

void preflight_init(struct service *service);

/* The files of the service may have changed: if they have, a check begins. */
void preflight_request(struct service *service, bool is_forced, int64_t now);

/* Returns when preflight_step() has to be called, or CLOCK_NEVER. */
int64_t preflight_deadline(const struct server *server);

/* Takes the next step of every check. To be called between two turns of the loop. True: the files
 * of a service were read, and the set of files to watch may have changed. */
bool preflight_step(struct server *server);

/* Ends all checks. No further check begins unless preflight_request() is called. */
void preflight_end(struct server *server);

#endif
