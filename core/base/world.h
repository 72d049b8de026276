/* world.h: what a loop shares with the scripts that it runs: its timers, its run queue, its network
 * and its processes.
 *
 * The server has one world, and so has each simulation. The owner of the world calls
 * timer->expire() and ready->run() when it is their turn, and never from within Lua. */
#ifndef BASE_WORLD_H
#define BASE_WORLD_H

#include "base/network.h"
#include "base/ready.h"
#include "base/timer.h"

struct processes; /* base/processes.h */

struct world {
  struct timer_heap timers;
  struct ready_queue ready;
  /* A script has run in a turn of its own, which may have taken long. NULL: nothing is called. */
  void (*on_work)(struct world *world);
  struct network *network;     /* The owner's; NULL: its scripts reach no other server. */
  struct processes *processes; /* The owner's; NULL: its scripts run no programs. */
  void *context;               /* The owner's. */
};

static inline void world_init(struct world *world) {
  *world = (struct world){0};
  timer_heap_init(&world->timers);
  ready_init(&world->ready);
}

/* Frees the heap. The timers and the entries of the queue are their owners'. */
static inline void world_deinit(struct world *world) { timer_heap_deinit(&world->timers); }

#endif
