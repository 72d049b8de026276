#include "script/every.h"

#include <lauxlib.h>
#include <math.h>

#include "base/clock.h"
#include "script/script_internal.h"
#include "script/task.h"
#include "script/task_handle.h"

/* The limits of the time between two runs, in seconds. */
static const double shortest = 0.001, longest = 1e9;

/* The user value of the handle is the function. Between two runs it has no coroutine. */
struct every {
  struct task_handle handle; /* First, so that a pointer to it points to the whole. */
  struct timer timer;
  double due;     /* When the next run is due, in ms; not rounded, so that no error adds up. */
  bool is_ending; /* It is cancelled while it runs. */
};

/* ---- time ---------------------------------------------------------------------------------- */

static struct timer_heap *timers_of(const struct every *every) {
  return &every->handle.generation->script->world->timers;
}

/* Cannot fail: the timer was put into the heap when it was made, and keeps its place there. */
static void schedule(struct every *every, int64_t now) {
  int64_t when = (int64_t)ceil(every->due);
  (void)timer_set(timers_of(every), &every->timer, when > now ? when : now + 1);
}

static void begin(struct task_handle *handle) {
  struct every *every = (struct every *)handle;
  int64_t now = script_now(handle->generation->script);
  every->due = (double)now + handle->seconds * 1000;
  schedule(every, now);
}

/* Runs that were missed are not made up for. */
static void schedule_next(struct every *every) {
  int64_t now = script_now(every->handle.generation->script);
  double period = every->handle.seconds * 1000, late = (double)now - every->due;
  every->due += period * (late > 0 ? floor(late / period) + 1 : 1);
  schedule(every, now);
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* Gives the function up. Only changes fields that exist, so that it cannot raise. */
static void end(struct every *every) {
  struct task_handle *handle = &every->handle;
  lua_State *state = handle->generation->script->gate.main;
  timer_cancel(timers_of(every), &every->timer);
  lua_rawgeti(state, LUA_REGISTRYINDEX, handle->reference);
  lua_pushnil(state);
  lua_setiuservalue(state, -2, TASK_HANDLE_VALUE);
  lua_pop(state, 1);
  task_handle_end(handle, TASK_CANCELLED);
}

static void cancel(struct task_handle *handle) {
  struct every *every = (struct every *)handle;
  if (!handle->task) {
    end(every);
    return;
  }
  every->is_ending = true;
  task_cancel(handle->task);
}

static void finish(struct task_handle *handle, enum gate_result result) {
  struct every *every = (struct every *)handle;
  struct task *task = handle->task;
  handle->task = NULL;
  handle->is_logged = false;
  task_give(task, result);
  if (every->is_ending)
    end(every);
  else
    schedule_next(every);
}

static const struct task_kind kind = {.begin = begin, .cancel = cancel, .finish = finish};

/* Pushing these values cannot fail: see task.c. */
static void run(struct every *every, struct task *task) {
  struct task_handle *handle = &every->handle;
  lua_State *state = task->gate->main;
  task_handle_attach(handle, task, handle->generation);
  lua_rawgeti(state, LUA_REGISTRYINDEX, handle->reference);
  lua_getiuservalue(state, -1, TASK_HANDLE_VALUE);
  lua_xmove(state, task->coroutine, 1);
  lua_pop(state, 1);
  task_handle_run(handle);
}

/* Its timer is not set any more. It is set to no time at all, which cannot fail now, so that it has
 * its place when the next time is known. */
static void expire(struct timer *timer) {
  struct every *every = (struct every *)((char *)timer - offsetof(struct every, timer));
  struct script *script = every->handle.generation->script;
  (void)timer_set(&script->world->timers, timer, CLOCK_NEVER);
  /* A finalizer may cancel it while the task is made. */
  lua_rawgeti(script->gate.main, LUA_REGISTRYINDEX, every->handle.reference);
  struct task *task = task_take(&script->gate);
  bool is_cancelled = every->handle.generation == NULL;
  lua_pop(script->gate.main, 1);
  if (task && is_cancelled)
    task_give(task, GATE_OK);
  else if (task)
    run(every, task);
  else if (!is_cancelled) {
    task_handle_log_lack(&every->handle);
    schedule_next(every);
  }
  if (script->world->on_work) script->world->on_work(script->world);
}

/* ---- what scripts see ---------------------------------------------------------------------- */

/* every(seconds, f) */
static int every(lua_State *state) {
  struct script *script = lua_touserdata(state, lua_upvalueindex(1));
  double seconds = luaL_checknumber(state, 1);
  luaL_argcheck(state, seconds >= shortest && seconds <= longest, 1,
                "must be a number of seconds from 0.001 to 1e9");
  luaL_checktype(state, 2, LUA_TFUNCTION);
  lua_settop(state, 2);
  struct every *new = (struct every *)task_handle_push(state, sizeof *new, &kind);
  new->handle.seconds = seconds;
  new->timer.expire = expire;
  lua_pushvalue(state, 2);
  lua_setiuservalue(state, 3, TASK_HANDLE_VALUE);
  /* Finalizers may have made tasks before this line. After it, nothing allocates in Lua. */
  struct generation *maker = task_handle_maker(script);
  const char *why = task_handle_refusal(script, maker);
  if (!why && timer_set(&script->world->timers, &new->timer, CLOCK_NEVER) != STATUS_OK)
    why = "not enough memory";
  if (why) {
    task_handle_discard(state, &new->handle);
    return luaL_error(state, "every: %s", why);
  }
  if (task_handle_link(&new->handle, maker, true)) begin(&new->handle);
  return 1;
}

void every_install(lua_State *state, struct script *script) {
  lua_pushlightuserdata(state, script);
  lua_pushcclosure(state, every, 1);
  lua_setfield(state, -2, "every");
}
