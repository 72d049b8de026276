#include "script/sleep.h"

#include <lauxlib.h>

#include "script/client.h"
#include "script/task.h"
#include "session/steps.h"

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

/* self:set_response_timeout(seconds). Does nothing if the connection is over. */
static int set_response_timeout(lua_State *state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  luaL_checknumber(state, 2);
  int64_t ms = task_check_seconds(state, 2);
  struct session *session = client_session(state, 1);
  if (session) session_set_response_timeout(session, ms);
  return 0;
}

void sleep_install(lua_State *state) {
  client_push_methods(state);
  lua_pushcfunction(state, set_response_timeout);
  lua_setfield(state, -2, "set_response_timeout");
  lua_pop(state, 1);
  lua_pushcfunction(state, sleep_for);
  lua_setfield(state, -2, "sleep");
}
