#include "script/sleep.h"

#include <lauxlib.h>

#include "script/task.h"

/* sleep(seconds) */
static int sleep_for(lua_State *state) {
  luaL_checknumber(state, 1);
  int64_t ms = task_check_seconds(state, 1);
  lua_settop(state, 0);
  struct task *task = task_begin_wait(state, "parlance.sleep");
  if (!task) return lua_gettop(state);
  task_set_timeout(state, task, ms);
  return task_wait(state, task, NULL);
}

void sleep_install(lua_State *state) {
  lua_pushcfunction(state, sleep_for);
  lua_setfield(state, -2, "sleep");
}
