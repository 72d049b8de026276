#include "script/every.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "script/script_internal.h"
#include "session/reason.h"

/* The most tasks of a script. */
enum { TASKS_MAX = 10000 };

/* The limits of the time between two runs, in seconds. */
static const double shortest = 0.001, longest = 1e9;

static const char class_name[] = "parlance.task";

/* A userdata whose user value is the function. The registry holds a task until it has ended. */
struct every {
  struct timer timer;            /* First, so that a pointer to it points to the task. */
  struct generation *generation; /* NULL: the task has ended. */
  struct every *next;
  struct every *previous;
  double seconds; /* The time between two runs. */
  double due;     /* When the next run is due, in ms; not rounded, so that no error adds up. */
  int reference;  /* In the registry. */
  bool is_running;
};

/* ---- time ---------------------------------------------------------------------------------- */

/* Cannot fail: launch() has put the timer into the heap, where it keeps its place. */
static void schedule(struct every *task, int64_t now) {
  int64_t when = (int64_t)ceil(task->due);
  struct timer_heap *timers = &task->generation->script->world->timers;
  (void)timer_set(timers, &task->timer, when > now ? when : now + 1);
}

static void begin(struct every *task, int64_t now) {
  task->due = (double)now + task->seconds * 1000;
  schedule(task, now);
}

/* Runs that were missed are not made up for. */
static void schedule_next(struct every *task, int64_t now) {
  double period = task->seconds * 1000, late = (double)now - task->due;
  task->due += period * (late > 0 ? floor(late / period) + 1 : 1);
  schedule(task, now);
}

/* ---- a task -------------------------------------------------------------------------------- */

static void link_task(struct every *task, struct generation *generation) {
  task->generation = generation;
  task->previous = generation->last_every;
  if (task->previous)
    task->previous->next = task;
  else
    generation->first_every = task;
  generation->last_every = task;
  generation->script->tasks.count++;
}

/* Ends a task. Cannot raise, because it does not allocate. The registry holds a running task until
 * it returns. */
static void end(lua_State *state, struct every *task) {
  struct generation *generation = task->generation;
  struct tasks *tasks = &generation->script->tasks;
  if (task->previous)
    task->previous->next = task->next;
  else
    generation->first_every = task->next;
  if (task->next)
    task->next->previous = task->previous;
  else
    generation->last_every = task->previous;
  timer_cancel(&generation->script->world->timers, &task->timer);
  tasks->count--;
  task->generation = NULL;
  lua_rawgeti(state, LUA_REGISTRYINDEX, task->reference);
  lua_pushnil(state);
  lua_setiuservalue(state, -2, 1);
  lua_pop(state, 1);
  if (!task->is_running) luaL_unref(state, LUA_REGISTRYINDEX, task->reference);
}

void every_begin(struct generation *generation) {
  int64_t now = script_now(generation->script);
  for (struct every *task = generation->first_every; task; task = task->next) begin(task, now);
}

void every_end(struct generation *generation) {
  struct every *next;
  for (struct every *task = generation->first_every; task; task = next) {
    next = task->next;
    end(generation->script->gate.main, task);
  }
}

void every_deinit(struct script *script) { script->tasks.are_refused = true; }

/* ---- a run --------------------------------------------------------------------------------- */

static int call(lua_State *state) {
  const struct every *task = lua_touserdata(state, 1);
  lua_rawgeti(state, LUA_REGISTRYINDEX, task->reference);
  lua_getiuservalue(state, -1, 1);
  lua_call(state, 0, 0);
  return 0;
}

static void log_failure(struct script *script, const struct every *task, enum gate_result result,
                        int64_t now) {
  struct log_line line;
  char every[64];
  enum reason reason = result == GATE_OVERRUN     ? REASON_SCRIPT_OVERRUN
                       : result == GATE_NO_MEMORY ? REASON_OUT_OF_MEMORY
                                                  : REASON_SCRIPT_ERROR;
  if (!log_begin_limited(&line, LOG_ERROR, reason_name(reason), &script->tasks.failures, now))
    return;
  snprintf(every, sizeof every, "every %.14g s", task->seconds);
  log_text(&line, "service", script->name);
  log_text(&line, "task", every);
  log_block(&line, "detail", script->gate.error);
  log_end(&line);
}

static void run(struct script *script, struct every *task) {
  struct generation *outer = script->running;
  script->running = task->generation;
  script->collector.is_dirty = true;
  task->is_running = true;
  enum gate_result result = gate_run(&script->gate, call, task);
  task->is_running = false;
  script->running = outer;
  int64_t now = script_now(script);
  if (result != GATE_OK) log_failure(script, task, result, now);
  if (task->generation)
    schedule_next(task, now);
  else
    luaL_unref(script->gate.main, LUA_REGISTRYINDEX, task->reference);
}

/* Its timer is not set any more. It is set to no time at all, which cannot fail now, so that it has
 * its place when the next time is known. */
static void expire(struct timer *timer) {
  struct every *task = (struct every *)timer;
  struct script *script = task->generation->script;
  (void)timer_set(&script->world->timers, timer, CLOCK_NEVER);
  run(script, task);
  if (script->world->on_work) script->world->on_work(script->world);
}

/* ---- what scripts see ---------------------------------------------------------------------- */

/* Takes the place of the timer in the heap. Returns why the task cannot be made, or NULL. */
static const char *refusal(struct script *script, struct every *task) {
  if (script->tasks.are_refused) return "no task can be made here";
  if (script->tasks.count >= TASKS_MAX) return "too many tasks";
  bool has_place = timer_set(&script->world->timers, &task->timer, CLOCK_NEVER) == STATUS_OK;
  return has_place ? NULL : "not enough memory";
}

/* Starts a new task. It ends at once if its version has a successor already. */
static void launch(lua_State *state, struct every *task, struct generation *generation) {
  link_task(task, generation);
  if (generation->handler.successor)
    end(state, task);
  else if (generation == generation->script->generation)
    begin(task, script_now(generation->script));
}

/* every(seconds, f) */
static int every(lua_State *state) {
  struct script *script = lua_touserdata(state, lua_upvalueindex(1));
  double seconds = luaL_checknumber(state, 1);
  luaL_argcheck(state, seconds >= shortest && seconds <= longest, 1,
                "must be a number of seconds from 0.001 to 1e9");
  luaL_checktype(state, 2, LUA_TFUNCTION);
  lua_settop(state, 2);
  struct every *task = lua_newuserdatauv(state, sizeof *task, 1);
  *task = (struct every){.timer.expire = expire, .seconds = seconds};
  luaL_setmetatable(state, class_name);
  lua_pushvalue(state, 2);
  lua_setiuservalue(state, 3, 1);
  lua_pushvalue(state, 3);
  task->reference = luaL_ref(state, LUA_REGISTRYINDEX);
  /* Finalizers may have made tasks before this line. After it, nothing allocates in Lua. */
  const char *why = refusal(script, task);
  if (why) {
    luaL_unref(state, LUA_REGISTRYINDEX, task->reference);
    return luaL_error(state, "every: %s", why);
  }
  launch(state, task, script->running ? script->running : script->generation);
  return 1;
}

/* task:cancel() */
static int cancel(lua_State *state) {
  struct every *task = luaL_checkudata(state, 1, class_name);
  if (!task->generation) {
    lua_pushboolean(state, false);
    lua_pushliteral(state, "finished");
    return 2;
  }
  end(state, task);
  lua_pushboolean(state, true);
  return 1;
}

/* tostring(task) */
static int describe(lua_State *state) {
  const struct every *task = luaL_checkudata(state, 1, class_name);
  lua_Debug about;
  if (!task->generation) {
    lua_pushfstring(state, "task: every %f s, finished", (lua_Number)task->seconds);
    return 1;
  }
  lua_getiuservalue(state, 1, 1);
  lua_getinfo(state, ">S", &about);
  lua_pushfstring(state, "task: every %f s, %s:%d", (lua_Number)task->seconds, about.short_src,
                  about.linedefined);
  return 1;
}

static void add_class(lua_State *state) {
  luaL_newmetatable(state, class_name);
  lua_createtable(state, 0, 1);
  lua_pushcfunction(state, cancel);
  lua_setfield(state, -2, "cancel");
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, describe);
  lua_setfield(state, -2, "__tostring");
  lua_pop(state, 1);
}

void every_install(lua_State *state, struct script *script) {
  add_class(state);
  lua_pushlightuserdata(state, script);
  lua_pushcclosure(state, every, 1);
  lua_setfield(state, -2, "every");
}
