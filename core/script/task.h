/* task.h: a coroutine of the core's that a script runs on, and what it waits for.
 *
 * A task runs until it ends or waits. While it waits, its coroutine is suspended, and no code of
 * the script holds the loop. task_wake() lets it go on: a task that answers a session goes on when
 * its session has its next turn, every other task when it comes to the front of the run queue.
 *
 * A wait in a coroutine of the script suspends all coroutines up to that of the task: resume() in
 * coroutines.c passes it up, and passes its results down again.
 *
 * A cancelled task gets an error from the wait that it is in. pcall() and the like do not catch it,
 * so that only its pending variables are closed. From then on each wait returns at once. */
#ifndef SCRIPT_TASK_H
#define SCRIPT_TASK_H

#include <lua.h>
#include <stdbool.h>

#include "base/ready.h"
#include "base/timer.h"
#include "script/gate.h"
#include "script/waiter.h"
#include "session/reason.h"

struct generation;
struct owned;
struct session;
struct task_handle;

enum task_state {
  TASK_RUNNING,
  TASK_WAITING,
  TASK_READY,
  TASK_RESTING /* It has done what it had to do, and may be continued with something else. */
};

enum task_cancel {
  CANCEL_NONE,
  CANCEL_ASKED, /* The wait at hand, or else the next one, raises an error. */
  CANCEL_RAISED /* A wait has raised it, and each further wait returns at once. */
};

/* A deadline of within(), for all that a function does. */
struct within {
  struct timer timer;
  struct task *task;
  struct within *outer; /* The next deadline of the task; NULL: none. */
  const lua_State *coroutine;
  bool is_over;
};

struct task {
  struct ready turn;  /* In the run queue of the world while the task is ready. */
  struct timer timer; /* The deadline of the wait. */
  lua_State *coroutine;
  int reference; /* Of the coroutine, in the registry. */
  struct gate *gate;
  struct generation *generation; /* Whose code it runs. */
  struct session *session;       /* The session that it answers; NULL: none. */
  struct task_handle *handle;    /* What scripts hold of a task that runs beside; NULL: nothing. */
  struct task *next;             /* In the pool. */
  struct waiter place;           /* Its place in the list of what it waits for. */
  void *waits_for;               /* The object of the wait, for `undo`. */
  void *given;                   /* What the task was given while it waited; NULL: nothing. */
  struct within *within;         /* The innermost deadline of within(); NULL: none. */
  struct within *unwinds_to;     /* The deadline that is over and ends what runs; NULL: none. */
  void (*undo)(struct task *task); /* Takes back the wait when the task is cancelled; or NULL. */
  struct owned *owned;             /* What belongs to it and ends with it: see owned.h. */
  int results;                     /* How many values task_wake() has put onto the coroutine. */
  bool was_stopped;                /* The watchdog has stopped it, and its variables are closed. */
  bool is_new;                     /* It has not begun, and its function stands on the coroutine. */
  bool is_interrupted;             /* A deadline of within() has ended its wait. */
  unsigned empty_pieces;           /* See pull_take_piece(). */
  enum task_state state : 8;
  enum task_cancel cancel : 8;
};

/* Takes a task from the pool, or makes one. NULL: there is no memory. */
struct task *task_take(struct gate *gate);

/* Like task_start(), but runs the function that stands on task->coroutine below its arguments. */
enum gate_result task_start_prepared(struct task *task);

/* Runs `body` with the task as a light userdata at index 1. GATE_WAITING: it waits. In each other
 * case it has ended, and the task may be given back. */
enum gate_result task_start(struct task *task, lua_CFunction body);

/* Continues a task that is ready or rests. */
enum gate_result task_continue(struct task *task);

/* Suspends the task until its next entry: `return task_rest(state, task, next)`. The entry ends
 * with GATE_OK, and the next one, task_continue(), calls `next`. */
int task_rest(lua_State *state, struct task *task, lua_KFunction next);

/* Gives back a task that rests, or has ended with this result. */
void task_give(struct task *task, enum gate_result result);

/* Frees a task that has ended, but leaves the values on its coroutine, which a handle has. */
void task_leave_coroutine(struct task *task);

/* Forgets a task that has not ended: its pending variables are not closed. */
void task_drop(struct task *task);

/* ---- waiting ------------------------------------------------------------------------------- */

/* Returns the task that runs and may wait now, for a function with this name. Raises if it may not.
 * NULL: the task was cancelled, or a message handler calls; three values were pushed, which the
 * function has to return. Allocates nothing when it returns a task. */
struct task *task_begin_wait(lua_State *state, const char *name);

/* Suspends the task: `return task_wait(state, task, undo)`. The function then returns the values
 * that task_wake() gets. */
int task_wait(lua_State *state, struct task *task, void (*undo)(struct task *task));

/* The same, but `finish` goes on when the task does. It must call task_check_cancel() when it has
 * left the list of waiters, and before anything that is lost if it raises. */
int task_wait_then(lua_State *state, struct task *task, void (*undo)(struct task *task),
                   lua_KFunction finish);

/* Whether the next wait of the task raises. Allocates nothing. */
bool task_must_end(const struct task *task);

/* Raises if the wait that is over was cancelled. */
void task_check_cancel(lua_State *state);

/* Returns the number of seconds at this index as ms, rounded up; -1: there is none. Raises if it is
 * no number from 0 to 1e9. */
int64_t task_check_seconds(lua_State *state, int index);

/* Wakes the task, which is about to wait, after so many ms; -1: never. May raise, before anything
 * else was done. Allocates nothing in Lua. */
void task_set_timeout(lua_State *state, struct task *task, int64_t ms);

/* Pushes nil, the code as the message, and the code. Returns 3. */
int task_push_failure(lua_State *state, const char *code);

/* Removes a deadline, which is the innermost one of its task. */
void task_end_within(struct within *within);

/* Removes the deadlines of the functions in this coroutine of the task, which is given up. They are
 * the innermost ones. */
void task_end_withins(struct task *task, const lua_State *coroutine);

/* A deadline of the task is over: ends the wait that it is in. */
void task_interrupt(struct task *task);

/* Lets a waiting task go on with `results` values on its coroutine. Does nothing if it is not
 * waiting. */
void task_wake(struct task *task, int results);

/* Empties a list of waiters, and lets their tasks go on without values. */
void task_wake_all(struct waiter *list);

/* Cancels the task, which must not have ended. */
void task_cancel(struct task *task);

/* Whether the running call was stopped by the watchdog. */
bool task_is_stopped(const struct gate *gate);

/* Whether the error of a cancel, or of a deadline that is over, is on its way up in the running
 * task. */
bool task_is_unwinding(const struct gate *gate);

/* Whether the error at index, which a call has raised, must be raised again: the watchdog stops the
 * call, or the task is unwinding. `was_unwinding`: the task was unwinding when the call began, so
 * the call is made while a variable is closed. There, other errors can be caught. */
bool task_is_passed_on(lua_State *state, int index, bool was_unwinding);

/* How a protected call of the running task has failed with this status. Its error is on the top. */
enum gate_result task_failure_of(lua_State *state, int status);

/* The reason of a failure: of the session that the task answers, and in the log. */
enum reason task_reason_of(enum gate_result result);

/* The message handler of calls from a task: keeps the error with its traceback in gate->error. */
int task_keep_error(lua_State *state);

/* Frees the tasks of the pool. */
void task_free_pool(struct gate *gate);

/* Makes the value of a cancel. May raise. */
void task_install(lua_State *state);

#endif
