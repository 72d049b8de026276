/* gate.h: the one way into Lua.
 *
 * Everything that can raise runs inside gate_run(): on a coroutine, so that a function may come to
 * wait, and under the watchdog. The coroutine is kept for the next entry when it has run to its
 * end. Entries may be nested. */
#ifndef SCRIPT_GATE_H
#define SCRIPT_GATE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "script/memory.h"

enum gate_result { GATE_OK, GATE_ERROR, GATE_OVERRUN, GATE_NO_MEMORY };

/* What is over this is cut, so that it fits into a line of the log with what else stands there. */
enum { GATE_ERROR_MAX = 3072 };

/* What is known of a coroutine. A new one has no mark. */
enum gate_mark {
  GATE_OWN = 1,     /* it is the server's own: a script cannot resume or close it */
  GATE_STOPPED = 2, /* the watchdog has stopped it: Lua calls no hook in it any more, so that what
                     * runs in it could not be stopped again */
  GATE_MARKS = GATE_OWN | GATE_STOPPED
};

struct gate {
  lua_State *main;
  struct memory *memory; /* of this state */
  const char *service;   /* whose script it is, for the log */
  lua_State *spare;      /* a coroutine that waits for work, anchored in the registry; or NULL */
  int spare_reference;
  int64_t call_timeout;     /* ms; 0: none */
  struct log_limit notices; /* of what calls do that they should not, and go on */
  unsigned closing;         /* coroutines that are being closed, one within the other */
  uintptr_t stack_base;     /* where the C stack was at the outermost entry */
  lua_State *finalizer;     /* the coroutine that finalizers run on, or NULL */
  int finalizer_reference;
  const void *trace_of; /* the error that `trace` belongs to, by its address; or NULL */
  char trace[GATE_ERROR_MAX / 2];
  char error[GATE_ERROR_MAX]; /* of the last entry that failed, with its traceback */
  size_t warning_length;
  char warning[GATE_ERROR_MAX / 3]; /* what has come of a warning of Lua's so far */
};

/* The gate must stay where it is: each coroutine of the state leads to it. */
void gate_init(struct gate *gate, lua_State *main, struct memory *memory, const char *service,
               int64_t call_timeout);

/* The gate of a state that has one. */
struct gate *gate_of(lua_State *state);

void gate_mark(lua_State *coroutine, enum gate_mark mark);
bool gate_has_mark(lua_State *coroutine, enum gate_mark mark);

/* A message handler: keeps the traceback of an error that comes to gate_run() later, through a
 * protected call. */
int gate_keep_trace(lua_State *state);

/* Begins a line about a call that goes on, unless there are too many of them. */
bool gate_begin_notice(struct gate *gate, struct log_line *line, const char *event);

/* Adds where a call is: the file, the line and the function at that level or the next one above it
 * that is written in Lua. Allocates nothing in Lua. */
void gate_log_place(lua_State *state, struct log_line *line, int level);

/* A watchdog_note: logs a call that has waited. */
void gate_note_waiting(lua_State *state, int64_t waited);

/* Calls body with `argument` as a light userdata at index 1. What body returns is dropped.
 * On failure gate->error holds what was raised, as text; nothing is left on any stack. */
enum gate_result gate_run(struct gate *gate, lua_CFunction body, void *argument);

/* For use within the gate, by what is not called by a script: an allocation outside of Lua has
 * failed. Ends the entry with GATE_NO_MEMORY. */
int gate_raise_no_memory(lua_State *state);

/* Closes the state. All finalizers together have the time of a call. */
void gate_close(struct gate *gate);

#endif
