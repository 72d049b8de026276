/* every.h: parlance.every(), the functions that run at regular times.
 *
 * A task belongs to the version of the script that has made it. A task that is made while its
 * version is loading begins when that version takes over; if it is rejected, the task never runs.
 * The tasks of a version end when it gets a successor. */
#ifndef SCRIPT_EVERY_H
#define SCRIPT_EVERY_H

#include <lua.h>

struct generation;
struct script;

/* Sets the field `every` of the table on the top. May raise. */
void every_install(lua_State *state, struct script *script);

/* Starts the tasks of a version that takes over. */
void every_begin(struct generation *generation);

/* Ends the tasks of a version that has a successor or is about to be freed. */
void every_end(struct generation *generation);

/* Frees, when every version has ended its tasks. No task can be made any more. */
void every_deinit(struct script *script);

#endif
