#include "script/task_handle.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "script/script_internal.h"
#include "script/task.h"

static const char class_name[] = "parlance.task";

/* ---- making -------------------------------------------------------------------------------- */

struct task_handle *task_handle_push(lua_State *state, size_t size, const struct task_kind *kind) {
  struct task_handle *handle = lua_newuserdatauv(state, size, TASK_HANDLE_VALUE);
  memset(handle, 0, size);
  handle->kind = kind;
  waiter_init_list(&handle->waiters);
  luaL_setmetatable(state, class_name);
  lua_pushvalue(state, -1);
  handle->reference = luaL_ref(state, LUA_REGISTRYINDEX);
  return handle;
}

void task_handle_discard(lua_State *state, struct task_handle *handle) {
  luaL_unref(state, LUA_REGISTRYINDEX, handle->reference);
  handle->end = TASK_CANCELLED;
}

struct task_handle *task_handle_check(lua_State *state, int index) {
  return luaL_checkudata(state, index, class_name);
}

struct task_handle *task_handle_test(lua_State *state, int index) {
  return luaL_testudata(state, index, class_name);
}

struct generation *task_handle_maker(struct script *script) {
  return script->running ? script->running : script->generation;
}

bool task_handle_is_background(const struct script *script) {
  const struct task *task = script->gate.running;
  if (task && task->handle) return task->handle->is_background;
  return !task || !task->session;
}

/* A version that is loaded counts its own: those of the version before end when it takes over. */
const char *task_handle_refusal(const struct script *script, const struct generation *maker) {
  if (script->tasks.are_refused) return "no task can be made here";
  bool is_loaded = maker == script->generation || maker->handler.successor;
  size_t count = is_loaded ? script->tasks.count : maker->task_count;
  return count >= maker->max_tasks ? "too many tasks" : NULL;
}

bool task_handle_link(struct task_handle *handle, struct generation *maker, bool is_background) {
  handle->generation = maker;
  handle->is_background = is_background;
  handle->previous = maker->last_task;
  if (handle->previous)
    handle->previous->next = handle;
  else
    maker->first_task = handle;
  maker->last_task = handle;
  maker->task_count++;
  maker->script->tasks.count++;
  if (!maker->handler.successor) return maker == maker->script->generation;
  if (is_background) handle->kind->cancel(handle);
  return !is_background;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void unlink_handle(struct task_handle *handle) {
  struct generation *generation = handle->generation;
  if (handle->previous)
    handle->previous->next = handle->next;
  else
    generation->first_task = handle->next;
  if (handle->next)
    handle->next->previous = handle->previous;
  else
    generation->last_task = handle->previous;
  handle->next = handle->previous = NULL;
}

void task_handle_end(struct task_handle *handle, enum task_end end) {
  struct generation *generation = handle->generation;
  struct script *script = generation->script;
  unlink_handle(handle);
  handle->generation = NULL;
  handle->end = end;
  handle->ended_as = ++script->tasks.ended;
  script->tasks.count--;
  task_wake_all(&handle->waiters);
  luaL_unref(script->gate.main, LUA_REGISTRYINDEX, handle->reference);
  generation->task_count--;
  struct handler *handler = &generation->handler;
  bool is_unused = generation->task_count == 0 && handler->sessions == 0 && handler->successor;
  if (is_unused && handler->on_unused) handler->on_unused(handler);
}

/* ---- versions ------------------------------------------------------------------------------ */

/* What begins or is cancelled may end, but no other one. */
void task_handle_begin_all(struct generation *generation) {
  struct task_handle *next;
  for (struct task_handle *one = generation->first_task; one; one = next) {
    next = one->next;
    one->kind->begin(one);
  }
}

void task_handle_cancel_background(struct generation *generation) {
  struct task_handle *next;
  for (struct task_handle *one = generation->first_task; one; one = next) {
    next = one->next;
    if (one->is_background) one->kind->cancel(one);
  }
}

void task_handle_forget_all(struct generation *generation) {
  while (generation->first_task) {
    struct task_handle *first = generation->first_task;
    first->kind->cancel(first);
    assert(generation->first_task != first);
  }
}

/* ---- running ------------------------------------------------------------------------------- */

static void log_failure(struct script *script, const struct task_handle *handle,
                        enum reason reason) {
  struct log_line line;
  char name[64] = "spawned";
  if (!log_begin_limited(&line, LOG_ERROR, reason_name(reason), &script->tasks.failures,
                         script_now(script)))
    return;
  if (handle->seconds > 0) snprintf(name, sizeof name, "every %.14g s", handle->seconds);
  log_text(&line, "service", script->name);
  log_text(&line, "task", name);
  log_block(&line, "detail", script->gate.error);
  log_end(&line);
}

void task_handle_log_lack(const struct task_handle *handle) {
  struct script *script = handle->generation->script;
  snprintf(script->gate.error, sizeof script->gate.error, "not enough memory");
  log_failure(script, handle, REASON_OUT_OF_MEMORY);
}

/* Whether another task gets the error. What waits for every() waits for the end of all its runs. */
static bool is_awaited(const struct task_handle *handle) {
  return handle->seconds == 0 && waiter_first(&handle->waiters);
}

/* The message handler. An error that nobody waits for is logged at once. */
static int handle_error(lua_State *state) {
  struct gate *gate = gate_of(state);
  struct task_handle *handle = gate->running->handle;
  if (task_is_passed_on(state, 1, true)) return 1;
  gate_keep_error(gate, state, 1, false);
  if (is_awaited(handle)) return 1;
  log_failure(handle->generation->script, handle, REASON_SCRIPT_ERROR);
  handle->is_logged = true;
  return 1;
}

/* The error of the function is on the top. */
static void note_failure(lua_State *state, struct task_handle *handle, int status) {
  struct script *script = handle->generation->script;
  struct gate *gate = &script->gate;
  enum gate_result result = task_failure_of(state, status);
  if (result != GATE_OVERRUN && task_is_passed_on(state, -1, true)) {
    handle->end = TASK_CANCELLED;
    return;
  }
  handle->end = TASK_RAISED;
  if (handle->is_logged || is_awaited(handle)) return;
  gate_keep_error(gate, state, 0, result == GATE_OVERRUN);
  log_failure(script, handle, task_reason_of(result));
}

/* The stack of run_function(). */
enum { HANDLE = 1, MESSAGE_HANDLER, BELOW_RESULTS = MESSAGE_HANDLER };

static int finish_function(lua_State *state, int status, lua_KContext context) {
  struct task_handle *handle = lua_touserdata(state, HANDLE);
  (void)context;
  if (status == LUA_OK || status == LUA_YIELD) {
    handle->end = TASK_RETURNED;
    return lua_gettop(state) - BELOW_RESULTS;
  }
  note_failure(state, handle, status);
  return 1;
}

static int run_function(lua_State *state) {
  int arguments = lua_gettop(state) - BELOW_RESULTS - 1;
  int status = lua_pcallk(state, arguments, LUA_MULTRET, MESSAGE_HANDLER, 0, finish_function);
  return finish_function(state, status, 0);
}

/* The arguments of run_function() stand from its index 1 on. */
void task_handle_attach(struct task_handle *handle, struct task *task,
                        struct generation *generation) {
  handle->task = task;
  task->handle = handle;
  task->generation = generation;
  lua_pushcfunction(task->coroutine, run_function);
  lua_pushlightuserdata(task->coroutine, handle);
  lua_pushcfunction(task->coroutine, handle_error);
}

static enum gate_result run(struct task *task) {
  if (task->is_new && task->cancel != CANCEL_NONE) {
    lua_settop(task->coroutine, 0);
    task->handle->end = TASK_CANCELLED;
    return GATE_OK;
  }
  if (!task->is_new) return task_continue(task);
  task->is_new = false;
  return task_start_prepared(task);
}

/* What has failed in run_function() itself is logged here. */
static void take_turn(struct task *task) {
  struct task_handle *handle = task->handle;
  struct script *script = handle->generation->script;
  struct generation *outer = script->running;
  script->running = handle->generation;
  script->collector.is_dirty = true;
  enum gate_result result = run(task);
  script->running = outer;
  if (result == GATE_WAITING) return;
  if (result != GATE_OK) {
    handle->end = TASK_RAISED;
    log_failure(script, handle, task_reason_of(result));
  }
  handle->kind->finish(handle, result);
}

static void take_turn_in_queue(struct ready *turn) {
  struct task *task = (struct task *)((char *)turn - offsetof(struct task, turn));
  struct world *world = task->generation->script->world;
  take_turn(task);
  if (world->on_work) world->on_work(world);
}

static void prepare(struct task_handle *handle) {
  handle->task->turn.run = take_turn_in_queue;
  handle->task->state = TASK_READY;
  handle->task->is_new = true;
}

void task_handle_run(struct task_handle *handle) {
  prepare(handle);
  take_turn(handle->task);
}

void task_handle_queue(struct task_handle *handle) {
  prepare(handle);
  ready_add(&handle->generation->script->world->ready, &handle->task->turn);
}

/* ---- the end of a script ------------------------------------------------------------------- */

/* How long the tasks of a script may take to end, in ms. */
enum { PATIENCE = 1000 };

static struct task_handle *any_handle(const struct script *script) {
  struct task_handle *first = script->generation ? script->generation->first_task : NULL;
  for (const struct generation *one = script->older; one && !first; one = one->next)
    first = one->first_task;
  return first;
}

void task_handle_end_all(struct script *script) {
  struct task_handle *handle;
  int64_t end = clock_milliseconds() + PATIENCE;
  script->tasks.are_refused = true;
  while ((handle = any_handle(script))) {
    handle->kind->cancel(handle);
    struct task *task = any_handle(script) == handle ? handle->task : NULL;
    if (!task) continue;
    ready_remove(&script->world->ready, &task->turn);
    if (clock_milliseconds() < end) take_turn(task);
    if (any_handle(script) != handle) continue;
    task_drop(task);
    handle->end = TASK_CANCELLED;
    handle->task = NULL;
    task_handle_end(handle, TASK_CANCELLED);
  }
}

/* ---- what scripts see ---------------------------------------------------------------------- */

/* task:cancel() */
static int cancel(lua_State *state) {
  struct task_handle *handle = task_handle_check(state, 1);
  if (!handle->generation) {
    lua_pushboolean(state, false);
    lua_pushliteral(state, "finished");
    return 2;
  }
  handle->kind->cancel(handle);
  lua_pushboolean(state, true);
  return 1;
}

/* Pushes the results, which stay where they are for other tasks. */
static int push_results(lua_State *state, const struct task_handle *handle) {
  luaL_checkstack(state, handle->results + 2, "too many results");
  lua_pushboolean(state, true);
  if (handle->results == 0) return 1;
  lua_getiuservalue(state, 1, TASK_HANDLE_VALUE);
  lua_State *coroutine = lua_tothread(state, -1);
  if (coroutine != handle->coroutine || !lua_checkstack(coroutine, 1))
    return luaL_error(state, "the results of the task are lost");
  lua_pop(state, 1);
  for (int i = 1; i <= handle->results; i++) {
    lua_pushvalue(coroutine, i);
    lua_xmove(coroutine, state, 1);
  }
  return handle->results + 1;
}

/* What task:wait() returns for the handle at index 1. */
static int push_end(lua_State *state) {
  const struct task_handle *handle = lua_touserdata(state, 1);
  if (handle->generation) return task_push_failure(state, "timeout");
  if (handle->end == TASK_CANCELLED) return task_push_failure(state, "cancelled");
  int count = push_results(state, handle);
  if (handle->end == TASK_RETURNED) return count;
  if (count == 1) lua_pushliteral(state, "not enough memory");
  lua_pushnil(state);
  lua_insert(state, -2);
  lua_pushliteral(state, "error");
  return 3;
}

static int finish_wait(lua_State *state, int status, lua_KContext context) {
  (void)status;
  (void)context;
  waiter_remove(&gate_of(state)->running->place);
  task_check_cancel(state);
  return push_end(state);
}

static void undo_wait(struct task *task) { waiter_remove(&task->place); }

/* task:wait([seconds]) */
static int wait_for(lua_State *state) {
  struct task_handle *handle = task_handle_check(state, 1);
  int64_t ms = task_check_seconds(state, 2);
  lua_settop(state, 1);
  if (!handle->generation) return push_end(state);
  const struct task *running = gate_of(state)->running;
  if (running && running->handle == handle)
    return luaL_error(state, "a task cannot wait for its own end");
  if (ms == 0) return push_end(state);
  struct task *task = task_begin_wait(state, "task:wait");
  if (!task) return 3;
  task_set_timeout(state, task, ms);
  waiter_add(&handle->waiters, &task->place, task);
  return task_wait_then(state, task, undo_wait, finish_wait);
}

/* tostring(task) */
static int describe(lua_State *state) {
  const struct task_handle *handle = task_handle_check(state, 1);
  lua_Debug about;
  if (handle->seconds > 0)
    lua_pushfstring(state, "task: every %f s", (lua_Number)handle->seconds);
  else
    lua_pushliteral(state, "task: spawned");
  if (!handle->generation)
    lua_pushliteral(state, ", finished");
  else if (handle->seconds > 0 && lua_getiuservalue(state, 1, TASK_HANDLE_VALUE) == LUA_TFUNCTION) {
    lua_getinfo(state, ">S", &about);
    lua_pushfstring(state, ", %s:%d", about.short_src, about.linedefined);
  }
  lua_concat(state, lua_gettop(state) - 1);
  return 1;
}

void task_handle_install(lua_State *state) {
  static const luaL_Reg methods[] = {{"cancel", cancel}, {"wait", wait_for}, {NULL, NULL}};
  luaL_newmetatable(state, class_name);
  luaL_newlib(state, methods);
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, describe);
  lua_setfield(state, -2, "__tostring");
  lua_pop(state, 1);
}
