#include "script/watchdog.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* What the signal handler shares with the only thread that runs Lua. */
static struct {
  lua_State *volatile running;
  volatile int64_t started;
  volatile int64_t timeout;
  volatile int64_t due;           /* when the timer fires; CLOCK_NEVER: it does not run */
  volatile sig_atomic_t stopping; /* the call at hand has overrun */
  bool installed;
  timer_t timer;
} watchdog = {.due = CLOCK_NEVER};

static void start_timer(int64_t milliseconds) {
  if (milliseconds < 1) milliseconds = 1;
  struct itimerspec when = {
      .it_value = {.tv_sec = milliseconds / 1000, .tv_nsec = (milliseconds % 1000) * 1000000}};
  watchdog.due = clock_coarse_milliseconds() + milliseconds;
  timer_settime(watchdog.timer, 0, &when, NULL);
}

/* lua_error() takes this very text for a lack of memory, and that passes every message handler by:
 * one would be called from within the hook, where Lua calls no other hook, and could not be
 * stopped. */
static void stop(lua_State *state, lua_Debug *activation) {
  (void)activation;
  lua_pushliteral(state, "not enough memory");
  lua_error(state);
}

/* The hook stays, so that a pcall around the error only brings the next one. */
static void set_hook(lua_State *state) {
  lua_sethook(state, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void clear_hook(lua_State *state) { lua_sethook(state, NULL, 0, 0); }

static void on_timer(int signal_number) {
  (void)signal_number;
  int saved = errno;
  watchdog.due = CLOCK_NEVER;
  if (watchdog.running && watchdog.timeout > 0) {
    int64_t left = watchdog.started + watchdog.timeout - clock_coarse_milliseconds();
    if (left <= 0) {
      watchdog.stopping = 1;
      set_hook(watchdog.running);
    } else
      start_timer(left);
  }
  errno = saved;
}

bool watchdog_install(void) {
  if (watchdog.installed) return true;
  struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  watchdog.installed = sigaction(SIGALRM, &action, NULL) == 0 &&
                       timer_create(CLOCK_MONOTONIC, &event, &watchdog.timer) == 0;
  return watchdog.installed;
}

static void forget_stop(void) {
  watchdog.stopping = 0;
  if (watchdog.running) clear_hook(watchdog.running);
}

void watchdog_renew(void) {
  watchdog.started = clock_coarse_milliseconds();
  if (watchdog.stopping) forget_stop();
}

int64_t watchdog_renewed(void) { return watchdog.started; }

void watchdog_enter(struct watch *outer, lua_State *state, int64_t timeout) {
  *outer = (struct watch){watchdog.running, watchdog.started, watchdog.timeout, false};
  watchdog.running = NULL; /* from here on no signal changes anything */
  outer->stopping = watchdog.stopping;
  watchdog.stopping = 0;
  watchdog.timeout = timeout;
  watchdog.started = clock_coarse_milliseconds();
  watchdog.running = state;
  if (timeout > 0 && watchdog.started + timeout < watchdog.due && watchdog.installed)
    start_timer(timeout);
}

bool watchdog_leave(const struct watch *outer) {
  lua_State *state = watchdog.running;
  watchdog.running = NULL; /* from here on no signal changes anything */
  bool was_stopped = watchdog.stopping;
  if (was_stopped) clear_hook(state);
  watchdog.started = outer->started;
  watchdog.timeout = outer->timeout;
  watchdog.stopping = outer->stopping;
  watchdog.running = outer->running;
  if (outer->running && outer->timeout > 0 && outer->started + outer->timeout < watchdog.due)
    start_timer(1);
  return was_stopped;
}

lua_State *watchdog_switch(lua_State *state) {
  lua_State *outer = watchdog.running;
  watchdog.running = state;
  if (watchdog.stopping)
    set_hook(state);
  else if (lua_gethook(state) == stop) /* inherited from one that was being stopped */
    clear_hook(state);
  return outer;
}

void watchdog_switch_back(lua_State *outer, lua_State *inner) {
  watchdog.running = outer;
  if (!watchdog.stopping) return;
  clear_hook(inner);
  if (outer) set_hook(outer);
}

bool watchdog_is_stopping(void) { return watchdog.stopping; }
