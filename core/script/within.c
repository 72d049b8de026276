#include "script/within.h"

#include <lauxlib.h>

#include "script/script_internal.h"
#include "script/task.h"

bool within_is_in(const struct task *task, const lua_State *coroutine) {
  const struct within *one = task ? task->within : NULL;
  while (one && one->coroutine != coroutine) one = one->outer;
  return one;
}

static void expire(struct timer *timer) {
  struct within *within = (struct within *)((char *)timer - offsetof(struct within, timer));
  within->is_over = true;
  task_interrupt(within->task);
}

/* The results of the function stand above the deadline and the message handler; after an error, its
 * value is on the top. */
static int finish(lua_State *state, int status, lua_KContext context) {
  struct within *within = lua_touserdata(state, 1);
  struct task *task = within->task;
  (void)context;
  task_end_within(within);
  if (status == LUA_OK || status == LUA_YIELD) {
    if (task->unwinds_to == within) task->unwinds_to = NULL;
    lua_pushboolean(state, true);
    lua_replace(state, 2);
    return lua_gettop(state) - 1;
  }
  bool is_mine = task->unwinds_to == within;
  bool is_cancel = lua_touserdata(state, -1) == task->gate->cancelled;
  if (is_mine) task->unwinds_to = NULL;
  if (is_mine && is_cancel && !task_is_passed_on(state, -1, false))
    return task_push_failure(state, "timeout");
  return lua_error(state);
}

/* within(seconds, f, ...). The deadline is a userdata at index 1. */
static int within(lua_State *state) {
  luaL_checknumber(state, 1);
  int64_t ms = task_check_seconds(state, 1);
  luaL_checktype(state, 2, LUA_TFUNCTION);
  struct within *within = lua_newuserdatauv(state, sizeof *within, 0);
  *within = (struct within){.timer.expire = expire, .coroutine = state};
  lua_replace(state, 1);
  lua_pushcfunction(state, gate_keep_trace);
  lua_insert(state, 2);
  struct task *task = task_begin_wait(state, "parlance.within");
  if (!task) return 3;
  struct script *script = task->generation->script;
  if (timer_set(&script->world->timers, &within->timer, script_now(script) + ms) != STATUS_OK)
    return gate_raise_no_memory(state);
  within->task = task;
  within->outer = task->within;
  task->within = within;
  int status = lua_pcallk(state, lua_gettop(state) - 3, LUA_MULTRET, 2, 0, finish);
  return finish(state, status, 0);
}

void within_install(lua_State *state) {
  lua_pushcfunction(state, within);
  lua_setfield(state, -2, "within");
}
