/* serve_loop.h: the loop of a task that serves sessions, one after the other. */
#ifndef SCRIPT_SERVE_LOOP_H
#define SCRIPT_SERVE_LOOP_H

#include <lua.h>

#include "script/gate.h"
#include "session/reason.h"

/* The body of such a task. Each entry does the steps of task->session until there is none, and then
 * the task rests. */
int serve_loop(lua_State *state);

/* The reason of a session whose entry has failed in this way. */
enum reason serve_reason_of(enum gate_result result);

#endif
