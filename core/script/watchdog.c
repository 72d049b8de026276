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
  volatile sig_atomic_t armed;    /* the timer runs */
  volatile sig_atomic_t stopping; /* the call at hand has overrun */
  bool installed;
  timer_t timer;
} watchdog;

static void start_timer(int64_t milliseconds) {
  if (milliseconds < 1) milliseconds = 1;
  struct itimerspec when = {
      .it_value = {.tv_sec = milliseconds / 1000, .tv_nsec = (milliseconds % 1000) * 1000000}};
  watchdog.armed = 1;
  timer_settime(watchdog.timer, 0, &when, NULL);
}

static void stop(lua_State *state, lua_Debug *activation) {
  (void)activation;
  luaL_error(state, "the call took longer than %f s (--call-timeout) and was stopped",
             (lua_Number)watchdog.timeout / 1000);
}

/* The hook stays, so that a pcall around the error only brings the next one. */
static void set_hook(lua_State *state) {
  lua_sethook(state, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void clear_hook(lua_State *state) { lua_sethook(state, NULL, 0, 0); }

static void on_timer(int signal_number) {
  (void)signal_number;
  int saved = errno;
  watchdog.armed = 0;
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

void watchdog_enter(struct watch *outer, lua_State *state, int64_t timeout) {
  *outer = (struct watch){watchdog.running, watchdog.started, watchdog.timeout};
  watchdog.running = NULL;
  watchdog.timeout = timeout;
  watchdog.started = clock_coarse_milliseconds();
  watchdog.running = state;
  if (timeout > 0 && !watchdog.armed && watchdog.installed) start_timer(timeout);
}

bool watchdog_leave(const struct watch *outer) {
  bool was_stopped = watchdog.stopping;
  if (was_stopped) forget_stop();
  watchdog.running = NULL;
  watchdog.started = outer->started;
  watchdog.timeout = outer->timeout;
  watchdog.running = outer->running;
  return was_stopped;
}

lua_State *watchdog_switch(lua_State *state) {
  lua_State *outer = watchdog.running;
  watchdog.running = state;
  if (watchdog.stopping) set_hook(state);
  return outer;
}

void watchdog_switch_back(lua_State *outer, lua_State *inner) {
  watchdog.running = outer;
  if (!watchdog.stopping) return;
  clear_hook(inner);
  if (outer) set_hook(outer);
}

bool watchdog_is_stopping(void) { return watchdog.stopping; }
