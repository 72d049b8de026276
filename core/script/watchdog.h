/* watchdog.h: stops a call into a script that uses too much processor time, and logs a call that
 * blocks for too long.
 *
 * A hook would slow down every instruction, so that a call usually has none. A timer of the
 * thread's processor time ticks a few times in each time limit. If its signal handler finds that
 * the call has overrun, it sets a hook, which raises an error once. The replaced pcall and the
 * like (coroutines.h) pass this error on, and pending variables are closed, which has one more time
 * limit. After that, the hook raises an error at every instruction until the call returns. An idle
 * process is not woken, and no call is stopped because the machine was suspended. The time of a
 * call counts from the first tick within it: the call is stopped after its limit, and before nine
 * eighths of it and 20 ms.
 *
 * A second timer measures real time; it is started at most once in each time limit, not for each
 * call. If a call takes its limit without using the processor or waiting for a busy one, a hook
 * logs the place as soon as the call goes on.
 *
 * The watchdog cannot stop a C function that takes long (a pathological pattern of string.find, a
 * blocking read), a finalizer that Lua calls itself (finalizers.h says which), and a coroutine that
 * a C module resumes: Lua calls no hook there.
 *
 * There is one watchdog in a process. All calls are made by the thread that has installed it. */
#ifndef SCRIPT_WATCHDOG_H
#define SCRIPT_WATCHDOG_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* The state of an outer call, which the caller keeps while an inner one runs. */
struct watch {
  lua_State *running;
  uint32_t began; /* Milliseconds of the coarse clock; they wrap. */
  uint32_t spent; /* Milliseconds of processor time at the first tick of the call; they wrap. */
  bool is_seen;   /* There was a tick during the call. */
  int timeout;
  int held;
  bool stopping;
  bool unwinding;
};

/* Called from a hook in a call that has taken `waited` ms. It may log, and must not raise. */
typedef void watchdog_note(lua_State *state, int64_t waited);

/* Installs the signal handlers (SIGVTALRM, SIGALRM) and the timers in this process, with ticks that
 * suit calls of up to `timeout` ms. The hook calls `on_stop` before it first raises the error of a
 * stop; it must not raise itself. Must be called again after fork(), which does not copy timers.
 * False: a system call has failed, and errno says why. */
bool watchdog_install(int64_t timeout, watchdog_note *note, void (*on_stop)(lua_State *state));

/* To be called before `state` runs, for at most timeout ms (0: no limit). NULL: only the coroutines
 * that watchdog_switch() names are watched. Saves the outer call. */
void watchdog_enter(struct watch *outer, lua_State *state, int64_t timeout);

/* To be called when it has returned; restores the outer call. True: the call was stopped. */
bool watchdog_leave(const struct watch *outer);

/* Restarts the time limit, for the next of several calls within one entry. */
void watchdog_restart(void);

/* Restarts the limit for processor time only, and reads no clock. For a call that follows another
 * one at once. */
void watchdog_restart_processor_time(void);

/* Returns when the entry began or watchdog_restart() was last called, in milliseconds of the coarse
 * clock. They wrap: only differences have a meaning. */
uint32_t watchdog_restarted_at(void);

/* Between hold and release the running call is not stopped, and its time does not count. Holds may
 * be nested. */
void watchdog_hold(void);
void watchdog_release(void);

/* Suspend all holds, for code within them that must be stopped when the limit is over; the call
 * around it is not stopped. `held` is the value that watchdog_drop_holds() has returned. */
int watchdog_drop_holds(void);
void watchdog_restore_holds(int held);

/* To be called before and after the running call continues in another coroutine of its state. */
lua_State *watchdog_switch(lua_State *state);
void watchdog_switch_back(lua_State *outer, lua_State *inner);

/* Whether the running call is being stopped. */
bool watchdog_is_stopping(void);

/* Whether it has been stopped, and the error of that is on its way up. */
bool watchdog_is_unwinding(void);

/* C code has caught the error of a stop and cannot raise it: the call is stopped at its next
 * instruction. */
void watchdog_stop_again(void);

#endif
