#include "script/queue.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/ban.h"
#include "script/finalizers.h"
#include "script/script_internal.h"
#include "script/task.h"

static const char class_name[] = "parlance.queue";

enum { CAPACITY = 1024, CAPACITY_MAX = 1000000000 };

/* A value, in one of the lists of a queue, or given to a task that waits for one. */
struct item {
  struct waiter place; /* Its task waits for room for it; NULL: it is in the queue. */
  int reference;       /* In the user value of the queue. */
};

/* A userdata whose user value is the table of the values. */
struct queue {
  struct waiter items;   /* What can be taken, in order. */
  struct waiter pending; /* What waits for room. Then `items` is full. */
  struct waiter refused; /* What does not wait any more; its task frees it in its next turn. */
  struct waiter takers;  /* The tasks that wait for a value. Then `items` is empty. */
  size_t count;          /* Of `items`. */
  size_t capacity;
  bool is_closed;
};

/* The stack of all methods. */
enum { QUEUE = 1, VALUE, SECONDS };

static struct queue *check(lua_State *state) { return luaL_checkudata(state, QUEUE, class_name); }

/* ---- values -------------------------------------------------------------------------------- */

static void push_values(lua_State *state) {
  if (lua_getiuservalue(state, QUEUE, 1) != LUA_TTABLE) luaL_error(state, "the queue is broken");
}

/* Frees an item that is in no list, and its value. */
static void drop(lua_State *state, struct item *item) {
  push_values(state);
  luaL_unref(state, -1, item->reference);
  lua_pop(state, 1);
  free(item);
}

/* Makes an item of what stands at VALUE. */
static struct item *make_item(lua_State *state) {
  push_values(state);
  lua_pushvalue(state, VALUE);
  int reference = luaL_ref(state, -2);
  struct item *item = malloc(sizeof *item);
  if (!item) {
    luaL_unref(state, -1, reference);
    gate_raise_no_memory(state);
    return NULL;
  }
  *item = (struct item){.reference = reference};
  lua_pop(state, 1);
  return item;
}

/* Pushes the value of an item that is in no list, and frees it. */
static int take_value(lua_State *state, struct item *item) {
  push_values(state);
  lua_rawgeti(state, -1, item->reference);
  luaL_unref(state, -2, item->reference);
  free(item);
  return 1;
}

static void move(struct item *item, struct waiter *list, struct task *task) {
  waiter_remove(&item->place);
  waiter_add(list, &item->place, task);
}

/* ---- what goes in and out ------------------------------------------------------------------- */

/* Whether a task waits for a value, and gets this one. */
static bool give(struct queue *queue, struct item *item) {
  struct waiter *first = waiter_first(&queue->takers);
  if (!first) return false;
  waiter_remove(first);
  first->task->given = item;
  task_wake(first->task, 0);
  return true;
}

static struct item *take_first(struct queue *queue) {
  struct item *item = (struct item *)waiter_first(&queue->items);
  waiter_remove(&item->place);
  queue->count--;
  return item;
}

/* There may be room for what has waited longest. */
static void let_in(struct queue *queue) {
  struct item *item = (struct item *)waiter_first(&queue->pending);
  if (!item || queue->count >= queue->capacity) return;
  struct task *task = item->place.task;
  move(item, &queue->items, NULL);
  queue->count++;
  task->given = NULL;
  task_wake(task, 0);
}

/* ---- push ---------------------------------------------------------------------------------- */

static int refuse(lua_State *state, const char *code) {
  lua_pushboolean(state, false);
  lua_pushstring(state, code);
  lua_pushvalue(state, -1);
  return 3;
}

static void undo_push(struct task *task) {
  struct queue *queue = task->waits_for;
  struct item *item = task->given;
  if (item) move(item, &queue->refused, NULL);
}

/* If it was not let in, the item is in the list of those that wait, or of those that are refused.
 */
static int finish_push(lua_State *state, int status, lua_KContext context) {
  struct task *task = gate_of(state)->running;
  const struct queue *queue = lua_touserdata(state, QUEUE);
  struct item *item = task->given;
  (void)status;
  (void)context;
  task->given = NULL;
  if (item) {
    waiter_remove(&item->place);
    drop(state, item);
  }
  task_check_cancel(state);
  if (item) return refuse(state, queue->is_closed ? "closed" : "timeout");
  lua_pushboolean(state, true);
  return 1;
}

/* False: there is no memory for the time-out. */
static bool start_timer(struct task *task, int64_t ms) {
  struct script *script = task->generation->script;
  return timer_set(&script->world->timers, &task->timer, script_now(script) + ms) == STATUS_OK;
}

/* Waits for room. */
static int wait_for_room(lua_State *state, struct queue *queue, struct item *item, int64_t ms) {
  struct task *task = gate_of(state)->running;
  if (!start_timer(task, ms)) {
    drop(state, item);
    return gate_raise_no_memory(state);
  }
  waiter_add(&queue->pending, &item->place, task);
  task->waits_for = queue;
  task->given = item;
  return task_wait_then(state, task, undo_push, finish_push);
}

enum attempt { QUEUED, FULL, CLOSED };

static enum attempt try_push(struct queue *queue, struct item *item) {
  if (queue->is_closed) return CLOSED;
  if (give(queue, item)) return QUEUED;
  if (queue->count >= queue->capacity) return FULL;
  waiter_add(&queue->items, &item->place, NULL);
  queue->count++;
  return QUEUED;
}

/* queue:push(value [, seconds]). Finalizers may do anything while the item is made, and cancel the
 * task as well: then it begins again. */
static int push(lua_State *state) {
  struct queue *queue = check(state);
  ban_check(state, "queue:push");
  luaL_argcheck(state, !lua_isnoneornil(state, VALUE), VALUE, "must not be nil");
  lua_settop(state, SECONDS);
  int64_t ms = task_check_seconds(state, SECONDS);
  for (;;) {
    bool may_wait = ms > 0 && !queue->is_closed && queue->count >= queue->capacity;
    if (may_wait && !task_begin_wait(state, "queue:push")) {
      lua_pushboolean(state, false);
      lua_replace(state, -4);
      return 3;
    }
    struct item *item = make_item(state);
    enum attempt attempt = try_push(queue, item);
    if (attempt == QUEUED) {
      lua_pushboolean(state, true);
      return 1;
    }
    if (attempt == FULL && may_wait && !task_must_end(gate_of(state)->running))
      return wait_for_room(state, queue, item, ms);
    drop(state, item);
    if (attempt == CLOSED) return refuse(state, "closed");
    if (ms <= 0) return refuse(state, "full");
  }
}

/* ---- pop ----------------------------------------------------------------------------------- */

/* What the task was given goes back to the front, or to the next task. */
static void undo_pop(struct task *task) {
  struct queue *queue = task->waits_for;
  struct item *item = task->given;
  waiter_remove(&task->place);
  task->given = NULL;
  if (!item || give(queue, item)) return;
  waiter_add(queue->items.next, &item->place, NULL);
  queue->count++;
}

static int finish_pop(lua_State *state, int status, lua_KContext context) {
  struct task *task = gate_of(state)->running;
  const struct queue *queue = lua_touserdata(state, QUEUE);
  struct item *item = task->given;
  (void)status;
  (void)context;
  waiter_remove(&task->place);
  task->given = NULL;
  task_check_cancel(state);
  if (item) return take_value(state, item);
  return task_push_failure(state, queue->is_closed ? "closed" : "timeout");
}

/* queue:pop([seconds]) */
static int pop(lua_State *state) {
  struct queue *queue = check(state);
  int64_t ms = task_check_seconds(state, 2);
  lua_settop(state, QUEUE);
  if (queue->count > 0) {
    struct item *item = take_first(queue);
    let_in(queue);
    return take_value(state, item);
  }
  if (queue->is_closed) return task_push_failure(state, "closed");
  if (ms == 0) return task_push_failure(state, "timeout");
  struct task *task = task_begin_wait(state, "queue:pop");
  if (!task) return 3;
  task_set_timeout(state, task, ms);
  waiter_add(&queue->takers, &task->place, task);
  task->waits_for = queue;
  task->given = NULL;
  return task_wait_then(state, task, undo_pop, finish_pop);
}

/* ---- close --------------------------------------------------------------------------------- */

/* queue:close(). What is in the queue can still be taken. */
static int close_queue(lua_State *state) {
  struct queue *queue = check(state);
  struct waiter *first;
  queue->is_closed = true;
  task_wake_all(&queue->takers);
  while ((first = waiter_first(&queue->pending))) {
    struct task *task = first->task;
    move((struct item *)first, &queue->refused, NULL);
    task_wake(task, 0);
  }
  return 0;
}

static void free_items(struct waiter *list) {
  struct waiter *next;
  for (struct waiter *one = list->next; one != list; one = next) {
    next = one->next;
    free(one);
  }
  waiter_init_list(list);
}

/* A script may have got hold of this function and call it itself: then it does nothing. */
static int collect(lua_State *state) {
  struct queue *queue = check(state);
  if (!finalizers_are_running(state)) return 0;
  free_items(&queue->items);
  free_items(&queue->pending);
  free_items(&queue->refused);
  queue->count = 0;
  queue->is_closed = true;
  return 0;
}

/* ---- making -------------------------------------------------------------------------------- */

/* #queue: how many values can be taken. */
static int count_values(lua_State *state) {
  lua_pushinteger(state, (lua_Integer)check(state)->count);
  return 1;
}

/* queue([capacity]) */
static int make_queue(lua_State *state) {
  lua_Integer capacity = luaL_optinteger(state, 1, CAPACITY);
  luaL_argcheck(state, capacity >= 1 && capacity <= CAPACITY_MAX, 1,
                "must be a whole number from 1 to 1e9");
  struct queue *queue = lua_newuserdatauv(state, sizeof *queue, 1);
  *queue = (struct queue){.capacity = (size_t)capacity};
  waiter_init_list(&queue->items);
  waiter_init_list(&queue->pending);
  waiter_init_list(&queue->refused);
  waiter_init_list(&queue->takers);
  luaL_setmetatable(state, class_name);
  lua_newtable(state);
  lua_setiuservalue(state, -2, 1);
  return 1;
}

void queue_install(lua_State *state) {
  static const luaL_Reg methods[] = {
      {"push", push}, {"pop", pop}, {"close", close_queue}, {NULL, NULL}};
  luaL_newmetatable(state, class_name);
  lua_pushcfunction(state, count_values);
  lua_setfield(state, -2, "__len");
  luaL_newlib(state, methods);
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, collect);
  lua_setfield(state, -2, "__gc");
  lua_pop(state, 1);
  lua_pushcfunction(state, make_queue);
  lua_setfield(state, -2, "queue");
}
