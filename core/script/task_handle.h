/* task_handle.h: what scripts hold of a task that runs beside the requests: of parlance.spawn() and
 * parlance.every().
 *
 * A handle is a userdata of Lua, which the registry holds until the task has ended. It belongs to
 * the version of the script that has made it. A task that is made while its version is loaded
 * begins when that version takes over; if the version is rejected, the task never runs.
 *
 * A background task was made while a version was loaded, by another background task, or by every().
 * It is cancelled when its version gets a successor. What a task that answers has
 * spawned goes on to its end. */
#ifndef SCRIPT_TASK_HANDLE_H
#define SCRIPT_TASK_HANDLE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "script/gate.h"
#include "script/waiter.h"

struct generation;
struct script;
struct task;
struct task_handle;

/* How a task has ended. */
enum task_end { TASK_NOT_ENDED, TASK_RETURNED, TASK_RAISED, TASK_CANCELLED };

/* What spawn() and every() do in different ways. */
struct task_kind {
  /* The version takes over. */
  void (*begin)(struct task_handle *handle);
  /* Ends the task, or makes it end at its next wait. Raises nothing. */
  void (*cancel)(struct task_handle *handle);
  /* The function has run to its end, and handle->task is still there. */
  void (*finish)(struct task_handle *handle, enum gate_result result);
};

struct task_handle {
  const struct task_kind *kind;
  struct task_handle *next; /* In the list of its generation, in the order of their making. */
  struct task_handle *previous;
  struct generation *generation; /* NULL: it has ended, or was not linked yet. */
  struct task *task;             /* What runs; NULL: nothing does. */
  struct waiter waiters;         /* The tasks that wait for its end. */
  lua_State *coroutine;          /* Has the results, from its bottom; see also its user value. */
  int results;                   /* How many these are. */
  int reference;                 /* In the registry. */
  uint64_t ended_as;             /* The order of the ends in a script. */
  double seconds;                /* Of every(): the time between two runs; 0: it is spawned. */
  enum task_end end : 8;         /* How its last run has ended. */
  bool is_background;
  bool is_logged; /* The error of the current run is in the log. */
};

/* The index of the function or, of a spawned task, the coroutine. */
enum { TASK_HANDLE_VALUE = 1 };

/* Pushes a new handle of this size, of which only the fields of the struct are set. It is referred
 * to by the registry, and not linked. May raise. */
struct task_handle *task_handle_push(lua_State *state, size_t size, const struct task_kind *kind);

/* Takes back a handle that was not linked. */
void task_handle_discard(lua_State *state, struct task_handle *handle);

/* The handle at index. For another value, check() raises, and test() returns NULL. */
struct task_handle *task_handle_check(lua_State *state, int index);
struct task_handle *task_handle_test(lua_State *state, int index);

/* The version that makes a task now. */
struct generation *task_handle_maker(struct script *script);

/* Whether a task that is spawned now is a background task. */
bool task_handle_is_background(const struct script *script);

/* Why `maker` cannot make a task now; NULL: it can. */
const char *task_handle_refusal(const struct script *script, const struct generation *maker);

/* Links a new handle. True: the task is to begin now. It has ended at once if it is a
 * background task and its version has a successor. */
bool task_handle_link(struct task_handle *handle, struct generation *maker, bool is_background);

/* The task has ended: unlinks it and wakes who waits for it. May free its generation. */
void task_handle_end(struct task_handle *handle, enum task_end end);

/* Has the task, whose coroutine is empty, run for the handle. The caller then pushes the function
 * of the script and its arguments onto the coroutine. Allocates nothing in Lua. */
void task_handle_attach(struct task_handle *handle, struct task *task,
                        struct generation *generation);

/* Runs the function: now, or when the task comes to the front of the run queue. */
void task_handle_run(struct task_handle *handle);
void task_handle_queue(struct task_handle *handle);

/* Logs that there is no memory to run the function. */
void task_handle_log_lack(const struct task_handle *handle);

/* The version takes over: begins its tasks. */
void task_handle_begin_all(struct generation *generation);

/* The version is about to get a successor: cancels its background tasks. */
void task_handle_cancel_background(struct generation *generation);

/* The version never takes over: forgets its tasks, which have not begun. */
void task_handle_forget_all(struct generation *generation);

/* Ends all tasks of a script, at once. From then on none can be made. */
void task_handle_end_all(struct script *script);

/* Makes the class. May raise. */
void task_handle_install(lua_State *state);

#endif
