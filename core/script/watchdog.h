/* watchdog.h: stops a call into a script that takes too much of the processor, and notes one that
 * waits for too long.
 *
 * A count hook would tax every instruction, so none is set in ordinary running. A timer that counts
 * the processor time of the thread ticks a few times in each time limit; its signal handler finds
 * out that a call has overrun and only then sets a hook, which raises an error at every further
 * instruction until the call has come back, whatever it wraps itself in. An idle process is not
 * woken, and a machine that pauses stops nobody. A call counts from the first tick that meets it:
 * it is stopped after its limit, and not later than nine eighths of it and 20 ms.
 *
 * A second timer goes by the wall's clock; it is started at most once per time limit, not per call.
 * When a call has spent its limit neither using a processor nor waiting for one that is busy, a
 * hook notes the place as soon as the call goes on.
 *
 * What it cannot stop, because Lua gives no place to: a C function that takes long (a pathological
 * pattern of string.find, a blocking read), a finalizer that Lua calls itself (finalizers.h says
 * which), and a coroutine that a C module resumes on its own.
 *
 * There is one watchdog in a process, and the calls are made by the thread that installed it. */
#ifndef SCRIPT_WATCHDOG_H
#define SCRIPT_WATCHDOG_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* A call under watch; kept by the caller so that calls can be nested. */
struct watch {
  lua_State *running;
  uint32_t began; /* ms of the coarse clock, which wrap */
  uint32_t spent; /* ms of the processor's time, as of the first tick since; they wrap */
  bool is_seen;   /* there was one */
  int timeout;
  int held;
  bool stopping;
};

/* Called from a hook, inside of a call that has waited for `waited` ms in all: it may log, and must
 * not raise. */
typedef void watchdog_note(lua_State *state, int64_t waited);

/* Installs the signal handlers (SIGVTALRM, SIGALRM) and the timers, in this process; they do not
 * outlive fork(), and then this is to be called again. The ticks are made fit for calls with a
 * limit of `timeout` ms. False: the system refused, errno says why. */
bool watchdog_install(int64_t timeout, watchdog_note *note);

/* The state is about to run, for at most timeout ms (0: no limit). NULL: only what it is switched
 * to is watched. Saves what ran before. */
void watchdog_enter(struct watch *outer, lua_State *state, int64_t timeout);

/* It came back. True if it had been stopped. */
bool watchdog_leave(const struct watch *outer);

/* The time limit starts anew: one call after another within one entry. */
void watchdog_restart(void);

/* As watchdog_restart() for a second call right behind a first, in one respect: the processor's
 * time counts anew, and the wall's goes on, so that nobody asks for it. */
void watchdog_restart_processor_time(void);

/* When watchdog_restart() was last called, or the entry began: in ms of the coarse clock. They
 * wrap, so that only differences mean something. */
uint32_t watchdog_restarted_at(void);

/* From hold to release the call at hand is not stopped, and the time does not count for its limit.
 * May be nested. */
void watchdog_hold(void);
void watchdog_release(void);

/* In between, what is not meant to be held runs: it is stopped when the call's limit is over, and
 * the call itself is not. `held` is what unhold returned. */
int watchdog_drop_holds(void);
void watchdog_restore_holds(int held);

/* The call at hand goes on in another coroutine of the same state, and comes back from it. */
lua_State *watchdog_switch(lua_State *state);
void watchdog_switch_back(lua_State *outer, lua_State *inner);

/* Whether the call at hand is being stopped. */
bool watchdog_is_stopping(void);

#endif
