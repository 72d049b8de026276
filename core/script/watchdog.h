/* watchdog.h: stops a call into a script that takes too long.
 *
 * A count hook would tax every instruction, so none is set in ordinary running: a timer signal
 * finds out that a call has overrun and only then sets one, which raises an error at every further
 * instruction until the call has come back, whatever it wraps itself in. The timer itself is
 * started at most once per time limit, not per call.
 *
 * What it cannot stop, because Lua gives no place to: a C function that takes long (a pathological
 * pattern of string.find, a blocking read), a finalizer (__gc), and a coroutine that a C module
 * resumes on its own.
 *
 * There is one watchdog in a process, and the calls are made by one thread. */
#ifndef SCRIPT_WATCHDOG_H
#define SCRIPT_WATCHDOG_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* A call under watch; kept by the caller so that calls can be nested. */
struct watch {
  lua_State *running;
  int64_t started;
  int64_t timeout;
  bool stopping;
};

/* Installs the signal handler (SIGALRM) and the timer. False: the system refused, errno says why.
 */
bool watchdog_install(void);

/* The state is about to run, for at most timeout ms (0: no limit). Saves what ran before. */
void watchdog_enter(struct watch *outer, lua_State *state, int64_t timeout);

/* It came back. True if it had been stopped. */
bool watchdog_leave(const struct watch *outer);

/* The time limit starts anew: one call after another within one entry. */
void watchdog_renew(void);

/* When that was last done, in ms of the coarse clock. */
int64_t watchdog_renewed(void);

/* The call at hand goes on in another coroutine of the same state, and comes back from it. */
lua_State *watchdog_switch(lua_State *state);
void watchdog_switch_back(lua_State *outer, lua_State *inner);

/* Whether the call at hand is being stopped. */
bool watchdog_is_stopping(void);

#endif
