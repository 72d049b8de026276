#include "script/task.h"

#include <assert.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "script/generation.h"
#include "script/owned.h"
#include "script/script_internal.h"
#include "script/stuck.h"
#include "script/watchdog.h"
#include "session/steps.h"

/* The most tasks that wait in the pool for the next entry. */
enum { POOL = 64 };

/* The longest time-out of a wait, in seconds. */
static const double longest_wait = 1e9;

/* ---- the pool ------------------------------------------------------------------------------ */

static int make_coroutine(lua_State *state) {
  struct task *task = lua_touserdata(state, 1);
  task->coroutine = lua_newthread(state);
  gate_mark(task->coroutine, GATE_OWN);
  task->reference = luaL_ref(state, LUA_REGISTRYINDEX);
  return 0;
}

static void on_timer(struct timer *timer);

/* Pushing a C function without upvalues and a light userdata cannot fail: a state always has room
 * for LUA_MINSTACK values. */
static struct task *make(struct gate *gate) {
  struct task *task = calloc(1, sizeof *task);
  if (!task) return NULL;
  task->gate = gate;
  task->timer.expire = on_timer;
  lua_pushcfunction(gate->main, make_coroutine);
  lua_pushlightuserdata(gate->main, task);
  bool was_lent = gate->memory->uses_server_reserve;
  memory_use_server_reserve(gate->memory, true);
  bool is_made = lua_pcall(gate->main, 1, 0, 0) == LUA_OK;
  memory_use_server_reserve(gate->memory, was_lent);
  if (is_made) return task;
  lua_pop(gate->main, 1);
  free(task);
  return NULL;
}

struct task *task_take(struct gate *gate) {
  struct task *task = gate->spare;
  if (!task) return make(gate);
  gate->spare = task->next;
  gate->spares--;
  task->next = NULL;
  return task;
}

/* luaL_unref() only changes fields that exist, so it cannot raise. */
static void destroy(struct task *task) {
  owned_end_all(&task->owned, true);
  luaL_unref(task->gate->main, LUA_REGISTRYINDEX, task->reference);
  free(task);
}

/* A coroutine that has failed, or that rests in its body, is of no use for another body. */
void task_give(struct task *task, enum gate_result result) {
  struct gate *gate = task->gate;
  if (task->owned) owned_end_all(&task->owned, task->cancel == CANCEL_RAISED);
  if (result != GATE_OK || task->state == TASK_RESTING || gate->spares == POOL) {
    destroy(task);
    return;
  }
  lua_settop(task->coroutine, 0);
  task->cancel = CANCEL_NONE;
  task->unwinds_to = NULL;
  task->was_stopped = task->is_interrupted = task->is_new = false;
  task->session = NULL;
  task->handle = NULL;
  task->next = gate->spare;
  gate->spare = task;
  gate->spares++;
}

void task_leave_coroutine(struct task *task) {
  owned_end_all(&task->owned, task->cancel == CANCEL_RAISED);
  destroy(task);
}

void task_drop(struct task *task) {
  struct world *world = task->generation->script->world;
  if (task->undo) task->undo(task);
  while (task->within) task_end_within(task->within);
  timer_cancel(&world->timers, &task->timer);
  ready_remove(&world->ready, &task->turn);
  destroy(task);
}

void task_free_pool(struct gate *gate) {
  while (gate->spare) destroy(task_take(gate));
}

/* ---- running ------------------------------------------------------------------------------- */

/* What a nested entry must restore. */
struct outer_entry {
  struct watch watch;
  struct task *running;
  const struct resuming *chain;
  const char *no_wait;
  bool was_lent;
};

static void enter(struct gate *gate, struct task *task, struct outer_entry *outer) {
  outer->running = gate->running;
  outer->chain = gate->chain;
  outer->no_wait = gate->no_wait;
  outer->was_lent = gate->memory->uses_server_reserve;
  gate->running = task;
  gate->chain = NULL;
  gate->no_wait = NULL;
  watchdog_enter(&outer->watch, task->coroutine, gate->call_timeout);
  if (!outer->watch.running) gate->stack_base = (uintptr_t)outer;
}

/* True: the watchdog has stopped the call. */
static bool leave(struct gate *gate, const struct outer_entry *outer) {
  bool was_stopped = watchdog_leave(&outer->watch);
  memory_use_server_reserve(gate->memory, outer->was_lent);
  gate->running = outer->running;
  gate->chain = outer->chain;
  gate->no_wait = outer->no_wait;
  return was_stopped;
}

/* Whether a call with this status has failed for lack of memory. Its error is on the top. */
static bool lacks_memory(lua_State *state, int status) {
  return status == LUA_ERRMEM || gate_is_no_memory(state);
}

/* Keeps the error, and closes the pending variables, which runs code of the script. This is not
 * done after a stop, because Lua calls no hook on a coroutine that has failed within a hook: it
 * could not be stopped. */
static enum gate_result fail(struct task *task, int status, bool was_stopped) {
  struct gate *gate = task->gate;
  struct outer_entry outer;
  bool was_lent = gate->memory->uses_server_reserve;
  bool has_no_memory = lacks_memory(task->coroutine, status);
  memory_use_server_reserve(gate->memory, true);
  if (status == LUA_YIELD) {
    task_end_withins(task, task->coroutine);
    lua_pushliteral(task->coroutine, "a C module yields outside of a coroutine");
  }
  gate_keep_error(gate, task->coroutine, 0, was_stopped);
  memory_use_server_reserve(gate->memory, was_lent);
  if (was_stopped) return GATE_OVERRUN;
  enter(gate, task, &outer);
  lua_resetthread(task->coroutine);
  leave(gate, &outer);
  lua_settop(task->coroutine, 0); /* If a script holds the coroutine, its status is "dead". */
  return has_no_memory ? GATE_NO_MEMORY : GATE_ERROR;
}

static enum gate_result resume(struct task *task, int arguments) {
  struct gate *gate = task->gate;
  struct outer_entry outer;
  int results, top = lua_gettop(gate->main);
  enter(gate, task, &outer);
  task->state = TASK_RUNNING;
  int status = lua_resume(task->coroutine, NULL, arguments, &results);
  bool was_stopped = leave(gate, &outer);
  bool waits = status == LUA_YIELD && task->state == TASK_WAITING;
  bool rests = status == LUA_YIELD && task->state == TASK_RESTING;
  enum gate_result result = GATE_OK;
  if (waits) {
    task->was_stopped = task->was_stopped || was_stopped;
    result = GATE_WAITING;
  }
  if (!waits && !rests && status != LUA_OK) result = fail(task, status, was_stopped);
  gate->trace_of = NULL;
  assert(lua_gettop(gate->main) == top);
  (void)top;
  return result;
}

static enum gate_result start(struct task *task, lua_CFunction body, void *argument) {
  lua_pushcfunction(task->coroutine, body);
  lua_pushlightuserdata(task->coroutine, argument);
  return resume(task, 1);
}

enum gate_result gate_run(struct gate *gate, lua_CFunction body, void *argument) {
  struct task *task = task_take(gate);
  if (!task) {
    snprintf(gate->error, sizeof gate->error, "not enough memory");
    return GATE_NO_MEMORY;
  }
  enum gate_result result = start(task, body, argument);
  assert(result != GATE_WAITING); /* The body calls without a continuation. */
  task_give(task, result);
  return result;
}

enum gate_result task_start(struct task *task, lua_CFunction body) {
  return start(task, body, task);
}

enum gate_result task_start_prepared(struct task *task) {
  return resume(task, lua_gettop(task->coroutine) - 1);
}

enum gate_result task_continue(struct task *task) {
  int results = task->results;
  task->results = 0;
  task->undo = NULL;
  return resume(task, results);
}

int task_rest(lua_State *state, struct task *task, lua_KFunction next) {
  task->state = TASK_RESTING;
  return lua_yieldk(state, 0, 0, next);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static const char cancelled_class[] = "parlance.cancelled";

static int describe_cancel(lua_State *state) {
  lua_pushliteral(state, "cancelled");
  return 1;
}

void task_install(lua_State *state) {
  struct gate *gate = gate_of(state);
  gate->cancelled = lua_newuserdatauv(state, 0, 0);
  luaL_newmetatable(state, cancelled_class);
  lua_pushcfunction(state, describe_cancel);
  lua_setfield(state, -2, "__tostring");
  lua_pushliteral(state, "cancelled");
  lua_setfield(state, -2, "__name");
  lua_setmetatable(state, -2);
  lua_rawsetp(state, LUA_REGISTRYINDEX, gate->cancelled);
}

/* The outermost deadline of the task that is over; NULL: none is. */
static struct within *find_over(const struct task *task) {
  struct within *over = NULL;
  for (struct within *one = task->within; one; one = one->outer)
    if (one->is_over) over = one;
  return over;
}

void task_end_within(struct within *within) {
  struct task *task = within->task;
  timer_cancel(&task->generation->script->world->timers, &within->timer);
  task->within = within->outer;
}

void task_end_withins(struct task *task, const lua_State *coroutine) {
  while (task->within && task->within->coroutine == coroutine) {
    if (task->unwinds_to == task->within) task->unwinds_to = NULL;
    task_end_within(task->within);
  }
}

bool task_is_stopped(const struct gate *gate) {
  return watchdog_is_stopping() || (gate->running && gate->running->was_stopped);
}

enum gate_result task_failure_of(lua_State *state, int status) {
  if (task_is_stopped(gate_of(state))) return GATE_OVERRUN;
  return lacks_memory(state, status) ? GATE_NO_MEMORY : GATE_ERROR;
}

enum reason task_reason_of(enum gate_result result) {
  if (result == GATE_OVERRUN) return REASON_SCRIPT_OVERRUN;
  return result == GATE_NO_MEMORY ? REASON_OUT_OF_MEMORY : REASON_SCRIPT_ERROR;
}

bool task_is_unwinding(const struct gate *gate) {
  const struct task *task = gate->running;
  return task && (task->cancel == CANCEL_RAISED || task->unwinds_to);
}

bool task_is_passed_on(lua_State *state, int index, bool was_unwinding) {
  struct gate *gate = gate_of(state);
  if (watchdog_is_unwinding() || (gate->running && gate->running->was_stopped)) return true;
  if (!task_is_unwinding(gate)) return false;
  return !was_unwinding || lua_touserdata(state, index) == gate->cancelled;
}

int task_keep_error(lua_State *state) {
  if (!task_is_passed_on(state, 1, true)) gate_keep_error(gate_of(state), state, 1, false);
  return 1;
}

/* Ends what the task does, or only what it does within a deadline. */
static int raise_cancel(lua_State *state, struct task *task) {
  task->is_interrupted = false;
  if (task->cancel == CANCEL_ASKED) {
    task->cancel = CANCEL_RAISED;
    gate_write_place(state, 0, task->gate->cancelled_at);
  } else
    task->unwinds_to = find_over(task);
  lua_rawgetp(state, LUA_REGISTRYINDEX, task->gate->cancelled);
  return lua_error(state);
}

struct task *task_begin_wait(lua_State *state, const char *name) {
  struct gate *gate = gate_of(state);
  struct task *task = gate->running;
  if (gate->finalizes) luaL_error(state, "%s cannot wait in a finalizer", name);
  if (task && task->cancel == CANCEL_ASKED) raise_cancel(state, task);
  if (task_is_unwinding(gate)) {
    task_push_failure(state, "cancelled");
    return NULL;
  }
  if (task && find_over(task)) raise_cancel(state, task);
  if (gate->no_wait) luaL_error(state, "%s cannot wait %s", name, gate->no_wait);
  lua_State *stuck = stuck_find(state);
  if (!stuck && task) return task;
  if (!stuck_is_handling(stuck ? stuck : state)) stuck_complain(state, stuck ? stuck : state, name);
  lua_pushnil(state);
  lua_pushfstring(state, "%s cannot wait in the message handler of xpcall", name);
  lua_pushliteral(state, "cannot wait");
  return NULL;
}

bool task_must_end(const struct task *task) {
  return task->cancel == CANCEL_ASKED || find_over(task);
}

void task_check_cancel(lua_State *state) {
  struct task *task = gate_of(state)->running;
  if (task->cancel == CANCEL_ASKED || task->is_interrupted) raise_cancel(state, task);
}

static int after_wait(lua_State *state, int status, lua_KContext base) {
  (void)status;
  task_check_cancel(state);
  return lua_gettop(state) - (int)base;
}

int task_wait_then(lua_State *state, struct task *task, void (*undo)(struct task *task),
                   lua_KFunction finish) {
  task->state = TASK_WAITING;
  task->undo = undo;
  return lua_yieldk(state, 0, lua_gettop(state), finish);
}

int task_wait(lua_State *state, struct task *task, void (*undo)(struct task *task)) {
  return task_wait_then(state, task, undo, after_wait);
}

int64_t task_check_seconds(lua_State *state, int index) {
  if (lua_isnoneornil(state, index)) return -1;
  double seconds = luaL_checknumber(state, index);
  luaL_argcheck(state, seconds >= 0 && seconds <= longest_wait, index,
                "must be a number of seconds from 0 to 1e9");
  return (int64_t)ceil(seconds * 1000);
}

void task_set_timeout(lua_State *state, struct task *task, int64_t ms) {
  struct script *script = task->generation->script;
  if (ms < 0) return;
  int64_t until = script_now(script) + ms;
  if (timer_set(&script->world->timers, &task->timer, until) != STATUS_OK)
    gate_raise_no_memory(state);
}

int task_push_failure(lua_State *state, const char *code) {
  lua_pushnil(state);
  lua_pushstring(state, code);
  lua_pushvalue(state, -1);
  return 3;
}

void task_wake(struct task *task, int results) {
  struct world *world = task->generation->script->world;
  if (task->state != TASK_WAITING) return;
  task->state = TASK_READY;
  task->results = results;
  timer_cancel(&world->timers, &task->timer);
  if (task->session)
    session_wake(task->session);
  else
    ready_add(&world->ready, &task->turn);
}

void task_wake_all(struct waiter *list) {
  struct waiter *first;
  while ((first = waiter_first(list))) {
    waiter_remove(first);
    task_wake(first->task, 0);
  }
}

void task_cancel(struct task *task) {
  if (task->cancel != CANCEL_NONE) return;
  task->cancel = CANCEL_ASKED;
  if (task->undo) task->undo(task);
  task->undo = NULL;
  task_wake(task, 0);
}

/* What it has waited for counts if that has come already: then the next wait raises. */
void task_interrupt(struct task *task) {
  if (task->state != TASK_WAITING) return;
  task->is_interrupted = true;
  if (task->undo) task->undo(task);
  task->undo = NULL;
  task_wake(task, 0);
}

static void on_timer(struct timer *timer) {
  task_wake((struct task *)((char *)timer - offsetof(struct task, timer)), 0);
}
