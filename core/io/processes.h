/* processes.h: programs over the poller: the processes of a server's world.
 *
 * What a script asks for begins in the run queue of the world, so that nothing is started within
 * Lua. A process is waited for as soon as it has ended, so that no zombie stays. Other processes of
 * its group may go on; they have the group's number, which the system gives to nobody else
 * meanwhile. */
#ifndef IO_PROCESSES_H
#define IO_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/world.h"
#include "io/poller.h"

struct io_processes;

/* Sets world->processes. The poller, the world and the environment ("NAME=VALUE" strings, and NULL;
 * or NULL: none) must outlive it. Programs are looked for in the PATH of that environment. */
enum status io_processes_create(struct poller *poller, struct world *world,
                                char *const *environment, struct io_processes **created);

/* To be called once in each turn, when all events of the turn have been handled: frees what has
 * ended. True: there was something. */
bool io_processes_free_ended(struct io_processes *processes);

/* How many descriptors are open for them. */
size_t io_processes_descriptors(const struct io_processes *processes);

/* Ends all processes: those that have not ended two seconds after SIGTERM are killed. Breaks all
 * channels, which their users still have to close, and frees. NULL is ignored. */
void io_processes_destroy(struct io_processes *processes);

#endif
