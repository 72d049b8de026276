#include "script/spawn.h"

#include <lauxlib.h>

#include "script/ban.h"
#include "script/script_internal.h"
#include "script/task.h"
#include "script/task_handle.h"

/* ---- the task ------------------------------------------------------------------------------ */

static void finish(struct task_handle *handle, enum gate_result result) {
  struct task *task = handle->task;
  handle->task = NULL;
  handle->results = result == GATE_OK ? lua_gettop(task->coroutine) : 0;
  if (handle->results > 0)
    task_leave_coroutine(task);
  else
    task_give(task, result);
  task_handle_end(handle, handle->end);
}

/* One whose version is still being loaded is in no queue. */
static void cancel(struct task_handle *handle) {
  struct task *task = handle->task;
  if (!task->is_new || ready_is_queued(&task->turn)) {
    task_cancel(task);
    return;
  }
  lua_settop(task->coroutine, 0);
  handle->end = TASK_CANCELLED;
  finish(handle, GATE_OK);
}

static const struct task_kind kind = {
    .begin = task_handle_queue, .cancel = cancel, .finish = finish};

/* ---- spawn --------------------------------------------------------------------------------- */

/* Room on the coroutine besides that for the arguments. */
enum { SLOTS = 8 };

/* Takes a task with room for the function and its arguments. NULL: there is no memory. */
static struct task *take_task(lua_State *state, int arguments) {
  struct task *task = task_take(gate_of(state));
  if (!task || lua_checkstack(task->coroutine, arguments + SLOTS)) return task;
  task_give(task, GATE_OK);
  return NULL;
}

/* Moves the function and its arguments, the `count` values below the handle on the top, to the
 * task. Allocates nothing in Lua. */
static void attach(lua_State *state, struct task_handle *handle, struct task *task,
                   struct generation *maker, int count) {
  handle->coroutine = task->coroutine;
  lua_pushthread(task->coroutine);
  lua_xmove(task->coroutine, state, 1);
  lua_setiuservalue(state, -2, TASK_HANDLE_VALUE);
  lua_insert(state, 1);
  task_handle_attach(handle, task, maker);
  task->is_new = true;
  lua_xmove(state, task->coroutine, count);
}

/* spawn(f, ...) */
static int spawn(lua_State *state) {
  struct script *script = lua_touserdata(state, lua_upvalueindex(1));
  luaL_checktype(state, 1, LUA_TFUNCTION);
  if (gate_of(state)->no_wait != ban_while_loading) ban_check(state, "parlance.spawn");
  if (script->tasks.are_refused) return luaL_error(state, "spawn: no task can be made here");
  int count = lua_gettop(state);
  luaL_checkstack(state, SLOTS, NULL);
  struct task_handle *handle = task_handle_push(state, sizeof *handle, &kind);
  struct task *task = take_task(state, count);
  /* Finalizers may have made tasks before this line. After it, nothing allocates in Lua. */
  struct generation *maker = task_handle_maker(script);
  const char *why = task ? task_handle_refusal(script, maker) : NULL;
  if (!task || why) {
    if (task) task_give(task, GATE_OK);
    task_handle_discard(state, handle);
    return why ? luaL_error(state, "spawn: %s", why) : gate_raise_no_memory(state);
  }
  attach(state, handle, task, maker, count);
  if (task_handle_link(handle, maker, task_handle_is_background(script))) task_handle_queue(handle);
  return 1;
}

/* ---- any ----------------------------------------------------------------------------------- */

/* The places of one task in the lists of several others. A userdata on its stack. */
struct any {
  size_t count;
  struct waiter places[];
};

/* The stack of any(). */
enum { TASKS = 1, SECONDS, PLACES = SECONDS };

static struct task_handle *handle_at(lua_State *state, size_t place) {
  lua_rawgeti(state, TASKS, (lua_Integer)place);
  struct task_handle *handle = task_handle_test(state, -1);
  lua_pop(state, 1);
  return handle;
}

/* Replaces the list by a copy that the script cannot change. Returns its length. */
static size_t copy_tasks(lua_State *state) {
  luaL_checktype(state, TASKS, LUA_TTABLE);
  size_t count = lua_rawlen(state, TASKS);
  luaL_argcheck(state, count >= 1 && count <= INT32_MAX, TASKS, "must be a list of tasks");
  lua_createtable(state, (int)count, 0);
  for (size_t i = 1; i <= count; i++) {
    const struct task_handle *handle = handle_at(state, i);
    const struct task *running = gate_of(state)->running;
    luaL_argcheck(state, handle != NULL, TASKS, "must be a list of tasks");
    if (running && handle == running->handle)
      luaL_error(state, "a task cannot wait for its own end");
    lua_rawgeti(state, TASKS, (lua_Integer)i);
    lua_rawseti(state, -2, (lua_Integer)i);
  }
  lua_replace(state, TASKS);
  return count;
}

/* Pushes the task that has ended first. False: none has ended. */
static bool push_first(lua_State *state, size_t count) {
  const struct task_handle *first = NULL;
  size_t place = 0;
  for (size_t i = 1; i <= count; i++) {
    const struct task_handle *handle = handle_at(state, i);
    if (handle->generation || (first && first->ended_as <= handle->ended_as)) continue;
    first = handle;
    place = i;
  }
  if (first) lua_rawgeti(state, TASKS, (lua_Integer)place);
  return first;
}

static void leave_lists(struct any *any) {
  for (size_t i = 0; i < any->count; i++) waiter_remove(&any->places[i]);
}

static void undo_any(struct task *task) { leave_lists(task->waits_for); }

static int finish_any(lua_State *state, int status, lua_KContext context) {
  struct any *any = lua_touserdata(state, PLACES);
  (void)status;
  (void)context;
  leave_lists(any);
  task_check_cancel(state);
  return push_first(state, any->count) ? 1 : task_push_failure(state, "timeout");
}

/* any(tasks [, seconds]) */
static int any_of(lua_State *state) {
  lua_settop(state, SECONDS);
  int64_t ms = task_check_seconds(state, SECONDS);
  size_t count = copy_tasks(state);
  struct any *any = lua_newuserdatauv(state, sizeof *any + count * sizeof *any->places, 0);
  any->count = count;
  for (size_t i = 0; i < count; i++) any->places[i] = (struct waiter){.next = NULL};
  lua_replace(state, PLACES);
  if (push_first(state, count)) return 1;
  if (ms == 0) return task_push_failure(state, "timeout");
  struct task *task = task_begin_wait(state, "parlance.any");
  if (!task) return 3;
  task_set_timeout(state, task, ms);
  for (size_t i = 0; i < count; i++)
    waiter_add(&handle_at(state, i + 1)->waiters, &any->places[i], task);
  task->waits_for = any;
  return task_wait_then(state, task, undo_any, finish_any);
}

void spawn_install(lua_State *state, struct script *script) {
  task_handle_install(state);
  lua_pushlightuserdata(state, script);
  lua_pushcclosure(state, spawn, 1);
  lua_setfield(state, -2, "spawn");
  lua_pushcfunction(state, any_of);
  lua_setfield(state, -2, "any");
}
