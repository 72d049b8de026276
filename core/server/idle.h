/* idle.h: the idle work of services, done while no request waits. Private to the server room.
 *
 * Idle work begins a while after handlers have worked, goes on in small steps in turns without
 * events and with an empty run queue, and then rests, so that it takes a small share of the time.
 * A server whose handlers have not worked since is not woken. */
#ifndef SERVER_IDLE_H
#define SERVER_IDLE_H

#include "server/loop.h"

void idle_init(struct server *server);

/* Sets the timer for the next time. */
void idle_schedule(struct server *server);

/* To be called when a handler has worked, was added or was freed: there may be idle work. */
static inline void idle_note_work(struct server *server) {
  server->idle.has_worked = true;
  if (server->idle.phase == IDLE_OFF) idle_schedule(server);
}

/* Does a step if idle work is running. To be called when a turn has found nothing else to do. */
void idle_step(struct server *server);

#endif
