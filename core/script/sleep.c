#include "script/sleep.h"

#include <lauxlib.h>
#include <math.h>

#include "script/script_internal.h"
#include "script/task.h"

static const double longest = 1e9; /* Seconds. */

/* sleep(seconds) */
static int sleep_for(lua_State *state) {
  double seconds = luaL_checknumber(state, 1);
  luaL_argcheck(state, seconds >= 0 && seconds <= longest, 1,
                "must be a number of seconds from 0 to 1e9");
  lua_settop(state, 0);
  struct task *task = task_begin_wait(state, "parlance.sleep");
  if (!task) return lua_gettop(state);
  struct script *script = task->generation->script;
  int64_t until = script_now(script) + (int64_t)ceil(seconds * 1000);
  if (timer_set(&script->world->timers, &task->timer, until) != STATUS_OK)
    return gate_raise_no_memory(state);
  return task_wait(state, task, NULL);
}

void sleep_install(lua_State *state) {
  lua_pushcfunction(state, sleep_for);
  lua_setfield(state, -2, "sleep");
}
