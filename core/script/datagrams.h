/* datagrams.h: a socket for datagrams of a script: its channel, and who waits for it.
 *
 * It is a value in Lua (modules/module_datagrams.c) and what stands here, which ends with that
 * value. It belongs to the task that made it, and is closed with it.
 *
 * Nothing here enters Lua or raises. */
#ifndef SCRIPT_DATAGRAMS_H
#define SCRIPT_DATAGRAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/datagrams.h"
#include "script/owned.h"

struct script;
struct task;

enum datagrams_direction { DATAGRAMS_RECEIVES, DATAGRAMS_SENDS, DATAGRAMS_DIRECTIONS };

/* A task that waits for one direction. */
struct datagrams_wait {
  struct task *task; /* NULL: none does. */
  int64_t until;     /* When it is to give up, in ms; CLOCK_NEVER. */
  bool is_ready;     /* The channel is ready, and the task goes on soon. */
};

struct datagrams {
  struct channel_user user;
  struct owned owned;
  struct script *script;
  struct datagrams *next; /* In the list of the script. */
  struct datagrams *previous;
  struct channel *channel; /* NULL: it is not open yet, or not any more. */
  const struct datagrams_class *class;
  struct datagrams_wait waits[DATAGRAMS_DIRECTIONS];
  unsigned at_once; /* How many datagrams were received since a task has waited. */
};

/* Makes one that is not open. NULL: there is no memory. */
struct datagrams *datagrams_create(struct script *script);

/* It gets a channel of this class. */
void datagrams_open(struct datagrams *datagrams, const struct datagrams_class *class,
                    struct channel *channel);

/* The task is about to wait for a direction for which none waits. */
void datagrams_await(struct datagrams *datagrams, enum datagrams_direction direction,
                     struct task *task);

/* No task waits for the direction any more. */
void datagrams_end_wait(struct datagrams *datagrams, enum datagrams_direction direction);

/* Closes it. Tasks that wait for it go on. */
void datagrams_close(struct datagrams *datagrams);

/* Closes and frees it. */
void datagrams_free(struct datagrams *datagrams);

/* Frees all of a script whose Lua state was closed. */
void datagrams_free_all(struct script *script);

#endif
