/* tasks.h: parlance.every(), the functions that run at regular times.
 *
 * A task belongs to the version of the script that has made it. A task that is made while its
 * version is loading begins when that version takes over; if it is rejected, the task never runs.
 * The tasks of a version end when it gets a successor. */
#ifndef SCRIPT_TASKS_H
#define SCRIPT_TASKS_H

#include <lua.h>

struct generation;
struct script;

/* Sets the field `every` of the table on the top. May raise. */
void tasks_add_every(lua_State *state, struct script *script);

/* Starts the tasks of a version that takes over. */
void tasks_begin(struct generation *generation);

/* Ends the tasks of a version that has a successor or is about to be freed. */
void tasks_end(struct generation *generation);

/* Frees, when every version has ended its tasks. No task can be made any more. */
void tasks_deinit(struct script *script);

#endif
