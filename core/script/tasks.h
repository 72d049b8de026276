/* tasks.h: functions that a script has run every so often: parlance.every().
 *
 * A task belongs to the version of the script whose call made it. One that is made while its
 * version is loaded begins when that takes over, and never if it does not. When a version has a
 * successor, its tasks have ended. */
#ifndef SCRIPT_TASKS_H
#define SCRIPT_TASKS_H

#include <lua.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/timer.h"

struct generation;
struct script;
struct task;

/* Those of a version that have not ended, in the order in which they were made. */
struct task_list {
  struct task *first;
  struct task *last;
};

/* Those of a script. */
struct tasks {
  struct timer_heap due; /* has room for all that have not ended */
  size_t count;          /* of those that have not ended */
  bool are_refused;      /* none can be made now: save and restore, and the end of the script */
  struct log_limit failures;
  int64_t told; /* when the next one is due, as the script's owner was told */
};

/* Sets the field `every` of the table on the top. May raise. */
void tasks_add_every(lua_State *state, struct script *script);

/* The version serves from now on: its tasks begin. */
void tasks_begin(struct generation *generation);

/* The version has a successor or is going to be freed: its tasks end. */
void tasks_end(struct generation *generation);

/* No task is left, and none can be made any more. Every version has ended its own. */
void tasks_deinit(struct script *script);

#endif
