/* gate.h: the one way into Lua.
 *
 * Everything that can raise runs inside gate_run(): on a coroutine, so that a function may come to
 * wait, and under the watchdog. The coroutine is kept for the next entry when it has run to its
 * end. Entries may be nested. */
#ifndef SCRIPT_GATE_H
#define SCRIPT_GATE_H

#include <lua.h>
#include <stdint.h>

enum gate_result { GATE_OK, GATE_ERROR, GATE_OVERRUN, GATE_NO_MEMORY };

/* What is over this is cut, so that it fits into a line of the log with what else stands there. */
enum { GATE_ERROR_MAX = 3072 };

struct gate {
  lua_State *main;
  lua_State *spare; /* a coroutine that waits for work, anchored in the registry; or NULL */
  int spare_reference;
  int64_t call_timeout;       /* ms; 0: none */
  char error[GATE_ERROR_MAX]; /* of the last entry that failed, with its traceback */
};

void gate_init(struct gate *gate, lua_State *main, int64_t call_timeout);

/* Calls body with `argument` as a light userdata at index 1. What body returns is dropped.
 * On failure gate->error holds what was raised, as text; nothing is left on any stack. */
enum gate_result gate_run(struct gate *gate, lua_CFunction body, void *argument);

/* For use within the gate, by what is not called by a script: an allocation outside of Lua has
 * failed. Ends the entry with GATE_NO_MEMORY. */
int gate_raise_no_memory(lua_State *state);

#endif
