#include "modules/subprocess_value.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "script/finalizers.h"
#include "script/script_internal.h"
#include "script/stream_value.h"
#include "script/task.h"

static const char class_name[] = "parlance.child";

static const char *const stream_names[SUBPROCESS_STREAMS] = {"stdin", "stdout", "stderr"};

struct subprocess *subprocess_value_push(lua_State *state, struct script *script) {
  struct subprocess **value =
      lua_newuserdatauv(state, sizeof(struct subprocess *), SUBPROCESS_STREAMS);
  *value = NULL;
  luaL_setmetatable(state, class_name);
  *value = subprocess_create(script);
  if (!*value) gate_raise_no_memory(state);
  return *value;
}

struct subprocess *subprocess_value_get(lua_State *state, int index) {
  return *(struct subprocess **)lua_touserdata(state, index);
}

void subprocess_value_add_stream(lua_State *state, int index, enum subprocess_stream which) {
  char address[sizeof(((struct subprocess *)NULL)->name) + 16];
  struct subprocess *child = subprocess_value_get(state, index);
  snprintf(address, sizeof address, "%s of %s", stream_names[which], child->name);
  subprocess_add_stream(child, which, stream_value_push(state, child->script, address));
  lua_setiuservalue(state, index, (int)which + 1);
}

static struct subprocess *check(lua_State *state, int index) {
  struct subprocess *child = *(struct subprocess **)luaL_checkudata(state, index, class_name);
  if (!child) luaL_error(state, "the child was collected");
  return child;
}

/* ---- wait ---------------------------------------------------------------------------------- */

static int push_end(lua_State *state, const struct subprocess *child) {
  if (!child->has_ended) return task_push_failure(state, child->is_closed ? "closed" : "timeout");
  lua_pushstring(state, child->end.is_signal ? "signal" : "exit");
  lua_pushinteger(state, child->end.number);
  return 2;
}

static void undo_wait(struct task *task) { waiter_remove(&task->place); }

static int wait_again(lua_State *state, int status, lua_KContext context) {
  (void)status;
  (void)context;
  waiter_remove(&gate_of(state)->running->place);
  task_check_cancel(state);
  return push_end(state, subprocess_value_get(state, 1));
}

/* child:wait([seconds]) */
static int wait_for(lua_State *state) {
  struct subprocess *child = check(state, 1);
  int64_t ms = task_check_seconds(state, 2);
  lua_settop(state, 1);
  if (child->has_ended || child->is_closed || ms == 0) return push_end(state, child);
  struct task *task = task_begin_wait(state, "child:wait");
  if (!task) return 3;
  task_set_timeout(state, task, ms);
  waiter_add(&child->waiters, &task->place, task);
  return task_wait_then(state, task, undo_wait, wait_again);
}

/* ---- kill ---------------------------------------------------------------------------------- */

/* Takes names such as "TERM" and "SIGTERM". Returns 0 if there is no such signal. */
static int find_signal(const char *name) {
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (int number = 1; number < NSIG; number++) {
    const char *known = sigabbrev_np(number);
    if (known && strcmp(known, name) == 0) return number;
  }
  return 0;
}

static int check_signal(lua_State *state, int index) {
  if (lua_isnoneornil(state, index)) return SIGTERM;
  lua_Integer number = lua_type(state, index) == LUA_TSTRING
                           ? find_signal(lua_tostring(state, index))
                           : luaL_checkinteger(state, index);
  luaL_argcheck(state, number > 0 && number < NSIG, index, "must be a signal: its number or name");
  return (int)number;
}

/* child:kill([signal]) */
static int kill_child(lua_State *state) {
  struct subprocess *child = check(state, 1);
  int number = check_signal(state, 2);
  bool is_sent = !child->is_closed && subprocess_signal(child, number);
  lua_pushboolean(state, is_sent);
  if (is_sent) return 1;
  lua_pushliteral(state, "finished");
  return 2;
}

/* ---- the rest ------------------------------------------------------------------------------ */

/* child:close(), and the end of a <close> variable. What a cancelled task closes is dropped. */
static int close_child(lua_State *state) {
  struct subprocess *child = check(state, 1);
  const struct task *task = gate_of(state)->running;
  subprocess_close(child, task && task->cancel == CANCEL_RAISED);
  lua_pushboolean(state, true);
  return 1;
}

/* A script may have got hold of this function and call it itself: then it does nothing but close.
 */
static int collect(lua_State *state) {
  struct subprocess **value = luaL_checkudata(state, 1, class_name);
  struct subprocess *child = *value;
  if (!child) return 0;
  if (!finalizers_are_running(state)) {
    subprocess_close(child, false);
    return 0;
  }
  *value = NULL;
  subprocess_forget_value(child);
  return 0;
}

static int describe(lua_State *state) {
  const struct subprocess *child = check(state, 1);
  const char *how = child->has_ended ? ", ended" : "";
  lua_pushfstring(state, "child (%s%s)", child->name, child->is_closed ? ", closed" : how);
  return 1;
}

/* __index(child, key). The upvalue is the table of methods. */
static int index_child(lua_State *state) {
  (void)check(state, 1);
  lua_settop(state, 2);
  if (lua_type(state, 2) == LUA_TSTRING)
    for (int i = 0; i < SUBPROCESS_STREAMS; i++) {
      if (strcmp(lua_tostring(state, 2), stream_names[i]) != 0) continue;
      lua_getiuservalue(state, 1, i + 1);
      return 1;
    }
  lua_rawget(state, lua_upvalueindex(1));
  return 1;
}

void subprocess_value_install(lua_State *state) {
  static const luaL_Reg methods[] = {
      {"wait", wait_for}, {"kill", kill_child}, {"close", close_child}, {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", collect}, {"__close", close_child}, {"__tostring", describe}, {NULL, NULL}};
  luaL_newmetatable(state, class_name);
  luaL_setfuncs(state, events, 0);
  luaL_newlib(state, methods);
  lua_pushcclosure(state, index_child, 1);
  lua_setfield(state, -2, "__index");
  lua_pop(state, 1);
}
