#include "script/lock.h"

#include <lauxlib.h>

#include "base/log.h"
#include "script/script_internal.h"
#include "script/task.h"

static const char lock_class[] = "parlance.lock", held_class[] = "parlance.held";

/* A userdata. The lock goes from one that holds it to the one that has waited longest. */
struct lock {
  struct waiter waiters;
  bool is_held;
};

/* What acquire() returns: a userdata whose user value is the lock. */
struct held {
  struct lock *lock; /* NULL: it holds nothing, yet or any more. */
};

/* Gives the lock to the next one. Does nothing if it is not held. */
static void release(struct held *held) {
  struct lock *lock = held->lock;
  if (!lock) return;
  held->lock = NULL;
  struct waiter *next = waiter_first(&lock->waiters);
  lock->is_held = next != NULL;
  if (!next) return;
  struct held *taken = next->task->waits_for;
  taken->lock = lock;
  waiter_remove(next);
  task_wake(next->task, 0);
}

/* held:__close() */
static int release_held(lua_State *state) {
  release(luaL_checkudata(state, 1, held_class));
  return 0;
}

/* held:__gc(). At the end of the script everything is collected, which is nobody's fault. */
static int collect_held(lua_State *state) {
  struct held *held = luaL_checkudata(state, 1, held_class);
  struct script *script = lua_touserdata(state, lua_upvalueindex(1));
  struct log_line line;
  if (held->lock && script_running(script) &&
      gate_begin_notice(&script->gate, &line, "lock_collected")) {
    log_text(&line, "detail",
             "nothing referred to what lock:acquire had returned: keep it in a <close> variable");
    log_end(&line);
  }
  release(held);
  return 0;
}

static void undo(struct task *task) {
  waiter_remove(&task->place);
  release(task->waits_for);
}

/* The stack of acquire(). */
enum { LOCK = 1, SECONDS, HELD = SECONDS };

static int finish(lua_State *state, int status, lua_KContext context) {
  const struct held *held = lua_touserdata(state, HELD);
  (void)status;
  (void)context;
  waiter_remove(&gate_of(state)->running->place);
  task_check_cancel(state);
  return held->lock ? 1 : task_push_failure(state, "timeout");
}

/* lock:acquire([seconds]) */
static int acquire(lua_State *state) {
  struct lock *lock = luaL_checkudata(state, LOCK, lock_class);
  lua_settop(state, SECONDS);
  int64_t ms = task_check_seconds(state, SECONDS);
  gate_of(state)->has_finalizers = true;
  struct held *held = lua_newuserdatauv(state, sizeof *held, 1);
  held->lock = NULL;
  luaL_setmetatable(state, held_class);
  lua_pushvalue(state, LOCK);
  lua_setiuservalue(state, -2, 1);
  lua_replace(state, HELD);
  if (!lock->is_held) {
    lock->is_held = true;
    held->lock = lock;
    return 1;
  }
  if (ms == 0) return task_push_failure(state, "timeout");
  struct task *task = task_begin_wait(state, "lock:acquire");
  if (!task) return 3;
  task_set_timeout(state, task, ms);
  waiter_add(&lock->waiters, &task->place, task);
  task->waits_for = held;
  return task_wait_then(state, task, undo, finish);
}

/* lock() */
static int make_lock(lua_State *state) {
  struct lock *lock = lua_newuserdatauv(state, sizeof *lock, 0);
  lock->is_held = false;
  waiter_init_list(&lock->waiters);
  luaL_setmetatable(state, lock_class);
  return 1;
}

void lock_install(lua_State *state, struct script *script) {
  luaL_newmetatable(state, lock_class);
  lua_createtable(state, 0, 1);
  lua_pushcfunction(state, acquire);
  lua_setfield(state, -2, "acquire");
  lua_setfield(state, -2, "__index");
  luaL_newmetatable(state, held_class);
  lua_pushcfunction(state, release_held);
  lua_setfield(state, -2, "__close");
  lua_pushlightuserdata(state, script);
  lua_pushcclosure(state, collect_held, 1);
  lua_setfield(state, -2, "__gc");
  lua_pop(state, 2);
  lua_pushcfunction(state, make_lock);
  lua_setfield(state, -2, "lock");
}
