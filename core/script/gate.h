/* gate.h: the one way into Lua.
 *
 * Everything that can raise runs inside gate_run(), on a coroutine and under the watchdog. If the
 * coroutine runs to its end, the next entry uses it again. Entries may be nested. */
#ifndef SCRIPT_GATE_H
#define SCRIPT_GATE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "script/memory.h"

enum gate_result { GATE_OK, GATE_ERROR, GATE_OVERRUN, GATE_NO_MEMORY, GATE_WAITING };

/* The most bytes of an error: it fits into a line of the log together with other fields. */
enum { GATE_ERROR_MAX = 3072, GATE_PLACE_MAX = LUA_IDSIZE + 24 };

/* Marks of a coroutine. A new coroutine has none. */
enum gate_mark {
  GATE_OWN = 1,     /* The server has made the coroutine: a script cannot resume or close it. */
  GATE_STOPPED = 2, /* The watchdog has stopped the coroutine. It is never resumed or closed again,
                     * because Lua calls no hook in it any more. */
  GATE_WAITS = 4,   /* A wait of the task is in the coroutine, or in one that it has resumed. */
  GATE_MARKS = GATE_OWN | GATE_STOPPED | GATE_WAITS
};

/* One coroutine of the script that is being resumed, in a list from the innermost outwards. */
struct resuming {
  lua_State *resumer;
  const struct resuming *outer;
};

struct task;

struct gate {
  lua_State *main;
  struct memory *memory;        /* The allocator of this state. */
  const char *service;          /* The name of the service, for the log. */
  struct task *spare;           /* Tasks for the next entries; NULL: none. */
  unsigned spares;              /* How many these are. */
  struct task *running;         /* The task that runs; NULL: none. */
  const struct resuming *chain; /* The coroutines that the task has resumed; NULL: none. */
  const char *no_wait;          /* Where the task cannot wait now, and what to do then; or NULL. */
  bool finalizes;               /* A finalizer of the script runs, which may interrupt anything. */
  lua_CFunction handler;        /* The function that calls message handlers of the script. */
  const void *cancelled;        /* The address of the error of a cancel. */
  char cancelled_at[GATE_PLACE_MAX]; /* The place of the wait that was cancelled last. */
  int64_t call_timeout;              /* ms; 0: none. */
  struct log_limit notices;          /* Limits the lines of gate_begin_notice(). */
  unsigned closing;                  /* How many coroutines are being closed, nested. */
  uintptr_t stack_base;              /* The address of the C stack at the outermost entry. */
  lua_State *finalizer;              /* The coroutine that finalizers run on, or NULL. */
  int finalizer_reference;           /* Its reference in the registry. */
  bool has_finalizers;               /* The script has values whose collection can be seen. */
  const void *trace_of;             /* The address of the error that `trace` belongs to, or NULL. */
  char trace[GATE_ERROR_MAX / 2];   /* The traceback that gate_keep_trace() has kept. */
  char error[GATE_ERROR_MAX];       /* The last error, with its traceback. */
  char stopped[GATE_ERROR_MAX];     /* The error of the call that the watchdog stops; "": none. */
  size_t warning_length;            /* Length of `warning`. */
  char warning[GATE_ERROR_MAX / 3]; /* The pieces of an unfinished Lua warning. */
};

/* Also installs the watchdog in this process. False: that has failed, and errno says why; the state
 * has the gate nevertheless. The gate must not move: each coroutine of the state has its address.
 */
bool gate_init(struct gate *gate, lua_State *main, struct memory *memory, const char *service,
               int64_t call_timeout);

/* Returns the gate of a state that has one. */
struct gate *gate_of(lua_State *state);

void gate_mark(lua_State *coroutine, enum gate_mark mark);
void gate_unmark(lua_State *coroutine, enum gate_mark mark);
bool gate_has_mark(lua_State *coroutine, enum gate_mark mark);

/* Writes the error on the top of `failed` to gate->error, with a traceback from this level on. */
void gate_keep_error(struct gate *gate, lua_State *failed, int level, bool was_stopped);

/* Whether the error on the top is that of gate_raise_no_memory(). */
bool gate_is_no_memory(lua_State *failed);

/* A message handler for a protected call whose error is raised again: keeps its traceback for
 * gate_run(). */
int gate_keep_trace(lua_State *state);

/* Begins a warning about a call that goes on. False: the limit of such lines is reached. */
bool gate_begin_notice(struct gate *gate, struct log_line *line, const char *event);

/* Writes "FILE:LINE: " of the first Lua function at this level or above into text[GATE_PLACE_MAX];
 * or "". Allocates nothing in Lua. */
void gate_write_place(lua_State *state, int level, char *text);

/* Adds the field `place`: the file, line and function of the first Lua function at this level or
 * above. Allocates nothing in Lua. */
void gate_log_place(lua_State *state, struct log_line *line, int level);

/* Calls `body` with `argument` as a light userdata at index 1. The results of `body` are dropped.
 * On failure gate->error has the error as text. All stacks are as high as before. */
enum gate_result gate_run(struct gate *gate, lua_CFunction body, void *argument);

/* Raises an error that ends the entry with GATE_NO_MEMORY, when an allocation outside of Lua has
 * failed. For C code inside the gate that no script has called. */
int gate_raise_no_memory(lua_State *state);

/* Closes the state. All finalizers together have the time limit of one call. */
void gate_close(struct gate *gate);

#endif
