/* serve_loop.h: the loop of a task that serves sessions, one after the other. */
#ifndef SCRIPT_SERVE_LOOP_H
#define SCRIPT_SERVE_LOOP_H

#include <lua.h>

/* The body of such a task. Each entry does the steps of task->session until there is none, and then
 * the task rests. */
int serve_loop(lua_State *state);

#endif
