/* idle.h: what is done while nobody waits: services tidy up. Private to the server room.
 *
 * That begins a while after handlers have worked, goes on in small steps when a turn has no event
 * and nothing in its queue, and rests afterwards, so that it takes a small share of the time. A
 * server that has done nothing since is not woken. */
#ifndef SERVER_IDLE_H
#define SERVER_IDLE_H

#include "server/loop.h"

void idle_init(struct server *server);

/* Begins to wait for a quiet moment. */
void idle_schedule(struct server *server);

/* A handler was at work, or came or went: there may be something to tidy up. */
static inline void idle_note_work(struct server *server) {
  server->idle.has_worked = true;
  if (!server->idle.is_expected) idle_schedule(server);
}

/* A step of it, if one is due. To be called when a turn has found nothing else to do. */
void idle_step(struct server *server);

#endif
