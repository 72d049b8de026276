/* tasks.h: parlance.every(), the functions that run at regular times.
 *
 * A task belongs to the version of the script that has made it. A task that is made while its
 * version is loading begins when that version takes over; if it is rejected, the task never runs.
 * The tasks of a version end when it gets a successor. */
#ifndef SCRIPT_TASKS_H
#define SCRIPT_TASKS_H

#include <lua.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/timer.h"

struct generation;
struct script;
struct task;

/* The tasks of a version that have not ended, in the order in which they were made. */
struct task_list {
  struct task *first;
  struct task *last;
};

/* The tasks of a script. */
struct tasks {
  struct timer_heap due;     /* Has room for all tasks that have not ended. */
  size_t count;              /* How many tasks have not ended. */
  bool are_refused;          /* No task can be made: during save and restore, and at the end. */
  struct log_limit failures; /* Limits the lines about tasks that fail. */
  int64_t alarm_at;          /* The time that the last call of the alarm had; CLOCK_NEVER: none. */
};

/* Sets the field `every` of the table on the top. May raise. */
void tasks_add_every(lua_State *state, struct script *script);

/* Starts the tasks of a version that takes over. */
void tasks_begin(struct generation *generation);

/* Ends the tasks of a version that has a successor or is about to be freed. */
void tasks_end(struct generation *generation);

/* Frees, when every version has ended its tasks. No task can be made any more. */
void tasks_deinit(struct script *script);

#endif
