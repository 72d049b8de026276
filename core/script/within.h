/* within.h: parlance.within(), a deadline for all that a function does.
 *
 * The function runs on the task that calls within(). When the deadline is over, the wait at hand
 * raises the error of a cancel, which only within() catches. */
#ifndef SCRIPT_WITHIN_H
#define SCRIPT_WITHIN_H

#include <lua.h>
#include <stdbool.h>

struct task;

/* Whether a function that has a deadline runs in this coroutine: it must not yield. */
bool within_is_in(const struct task *task, const lua_State *coroutine);

/* Sets the field `within` of the table on the top. May raise. */
void within_install(lua_State *state);

#endif
