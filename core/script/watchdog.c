#include "script/watchdog.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
  TICKS = 8,      /* Ticks in a time limit. */
  TICK_MIN = 1,   /* The least ms between two ticks. */
  TICK_MAX = 250, /* The most ms between two ticks. */
  TICK_EARLY = 4  /* A tick may come so many ms early: the kernel checks timers in its own ticks. */
};

/* Milliseconds that wrap, as a signal handler may share them. */
typedef volatile sig_atomic_t shared_ms;

/* The signal handlers share this with the only thread that runs Lua. */
static struct {
  lua_State *volatile running;
  volatile sig_atomic_t timeout;
  volatile sig_atomic_t held;
  shared_ms began;                 /* When the running call began, by the coarse clock. */
  volatile sig_atomic_t is_seen;   /* A tick has come since then. */
  shared_ms spent;                 /* The processor time at the first of these ticks. */
  shared_ms held_since;            /* The held time from here on is not yet taken off `spent`. */
  shared_ms due;                   /* When the timer of real time fires, if it runs. */
  volatile sig_atomic_t is_due;    /* That timer runs. */
  volatile sig_atomic_t waits;     /* waits_now() when that timer was started. */
  volatile sig_atomic_t stopping;  /* The running call has overrun: it is to be stopped. */
  volatile sig_atomic_t unwinding; /* The error of a stop is on its way up. */
  volatile sig_atomic_t waiting;   /* The running call has blocked, and that is not logged yet. */
  volatile sig_atomic_t noted;     /* The running call has blocked, and that is logged. */
  volatile sig_atomic_t raised;    /* 0: none of the four above is set. One test for each call. */
  volatile sig_atomic_t tick;      /* Milliseconds between ticks; 0: no ticks. */
  unsigned depth;                  /* How many calls are nested. */
  pid_t installed;                 /* The process that has the timers; 0: none. */
  watchdog_note *note;
  void (*on_stop)(lua_State *state);
  timer_t ticker, wall;
} watchdog;

static uint32_t wall_now(void) { return (uint32_t)clock_coarse_milliseconds(); }

/* Async-signal-safe. */
static uint32_t spent_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint32_t)((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int32_t between(sig_atomic_t since, uint32_t now) {
  return (int32_t)(now - (uint32_t)since);
}

static struct timespec duration(int milliseconds) {
  return (struct timespec){.tv_sec = milliseconds / 1000,
                           .tv_nsec = (long)(milliseconds % 1000) * 1000000};
}

/* Returns how often the thread has given up the processor to wait (voluntary context switches). A
 * busy machine, which takes the processor away, does not count. */
static sig_atomic_t waits_now(void) {
  struct rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? (sig_atomic_t)usage.ru_nvcsw : 0;
}

static void start_wall(uint32_t now, int milliseconds) {
  if (milliseconds < 1) milliseconds = 1;
  struct itimerspec when = {.it_value = duration(milliseconds)};
  watchdog.due = (sig_atomic_t)(now + (uint32_t)milliseconds);
  watchdog.is_due = 1;
  watchdog.waits = waits_now();
  timer_settime(watchdog.wall, 0, &when, NULL);
}

static void clear_hook(lua_State *state);

/* The first stop of a call raises once: pcall() and the like pass it on, and the variables that are
 * pending have one more time limit. When that is over, too, the hook raises at each instruction.
 *
 * lua_error() treats this text as LUA_ERRMEM, which calls no message handler. A handler would run
 * within the hook, where Lua calls no other hook, and could not be stopped. */
static void stop(lua_State *state, lua_Debug *activation) {
  (void)activation;
  if (!watchdog.unwinding) {
    watchdog.unwinding = 1;
    watchdog.stopping = 0;
    watchdog.is_seen = 0;
    clear_hook(state);
    if (watchdog.on_stop) watchdog.on_stop(state);
  }
  lua_pushliteral(state, "not enough memory");
  lua_error(state);
}

static void note(lua_State *state, lua_Debug *activation);

/* The hook stays, so that a pcall around the error only brings the next one. */
static void set_hook(lua_State *state, lua_Hook hook) {
  lua_sethook(state, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void clear_hook(lua_State *state) {
  lua_Hook hook = lua_gethook(state);
  if (hook == stop || hook == note) lua_sethook(state, NULL, 0, 0);
}

/* Sets the hook that a running coroutine must have. A signal handler may set the same hook in the
 * meantime, which does no harm. */
static void apply_hook(lua_State *state) {
  if (watchdog.stopping)
    set_hook(state, stop);
  else if (watchdog.waiting)
    set_hook(state, note);
}

bool watchdog_is_stopping(void) { return watchdog.stopping || watchdog.unwinding; }

bool watchdog_is_unwinding(void) { return watchdog.unwinding; }

/* Runs when a call goes on after it has blocked. */
static void note(lua_State *state, lua_Debug *activation) {
  (void)activation;
  watchdog.waiting = 0;
  watchdog.noted = 1;
  clear_hook(state);
  apply_hook(state); /* A tick may have come. */
  if (watchdog.note) watchdog.note(state, between(watchdog.began, wall_now()));
}

/* The time of a call counts from the first tick within it, because the last tick before it may be
 * long ago: the kernel counts no time for a thread that sleeps at each of the kernel's own ticks.
 */
static bool has_overrun(uint32_t now) {
  return watchdog.is_seen && between(watchdog.spent, now) + TICK_EARLY >= watchdog.timeout;
}

/* Takes the time that was held until `now` off the time of the call. */
static void take_off(uint32_t now) {
  uint32_t held = (uint32_t)between(watchdog.held_since, now);
  watchdog.spent = (sig_atomic_t)((uint32_t)watchdog.spent + held);
  watchdog.held_since = (sig_atomic_t)now;
}

static void on_tick(int signal_number) {
  (void)signal_number;
  int saved = errno;
  uint32_t now = spent_now();
  lua_State *running = watchdog.running;
  if (running && watchdog.timeout > 0) {
    if (!watchdog.is_seen) {
      watchdog.spent = watchdog.held_since = (sig_atomic_t)now;
      watchdog.is_seen = 1;
    } else if (watchdog.held)
      take_off(now);
    else if (has_overrun(now)) {
      watchdog.raised = 1;
      watchdog.stopping = 1; /* At each tick, because the hook may have been lost. */
      if (lua_gethook(running) != stop) set_hook(running, stop); /* Walks the whole stack. */
    }
  }
  errno = saved;
}

static void on_wall(int signal_number) {
  (void)signal_number;
  int saved = errno;
  uint32_t now = wall_now();
  watchdog.is_due = 0;
  lua_State *running = watchdog.running;
  if (running && watchdog.timeout > 0 && !watchdog.waiting && !watchdog.noted) {
    int32_t used = watchdog.is_seen ? between(watchdog.spent, spent_now()) : 0;
    int32_t left = watchdog.timeout - between(watchdog.began, now) + (used > 0 ? used : 0);
    if (left > 0)
      start_wall(now, left);
    else if (waits_now() == watchdog.waits)
      start_wall(now, watchdog.timeout); /* The machine is busy: the call has not blocked. */
    else if (!watchdog.stopping) {
      watchdog.raised = 1;
      watchdog.waiting = 1;
      set_hook(running, note);
    }
  }
  errno = saved;
}

static bool make_timer(clockid_t clock, int signal_number, void (*handler)(int), timer_t *timer) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGALRM);
  sigaddset(&action.sa_mask, SIGVTALRM);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal_number};
  return sigaction(signal_number, &action, NULL) == 0 && timer_create(clock, &event, timer) == 0;
}

static bool make_timers(void) {
  if (watchdog.installed == getpid()) return true;
  watchdog.tick = 0;
  watchdog.is_due = 0;
  if (!make_timer(CLOCK_THREAD_CPUTIME_ID, SIGVTALRM, on_tick, &watchdog.ticker)) return false;
  if (!make_timer(CLOCK_MONOTONIC, SIGALRM, on_wall, &watchdog.wall)) return false;
  watchdog.installed = getpid();
  return true;
}

static int as_timeout(int64_t timeout) {
  return timeout < INT_MAX / 2 ? (int)timeout : INT_MAX / 2;
}

/* The ticks suit the shortest limit of all services. */
bool watchdog_install(int64_t timeout, watchdog_note *noted, void (*on_stop)(lua_State *state)) {
  if (!make_timers()) return false;
  watchdog.note = noted;
  watchdog.on_stop = on_stop;
  if (timeout <= 0) return true;
  int tick = as_timeout(timeout) / TICKS;
  if (tick < TICK_MIN) tick = TICK_MIN;
  if (tick > TICK_MAX) tick = TICK_MAX;
  if (watchdog.tick > 0 && watchdog.tick <= tick) return true;
  struct itimerspec when = {.it_value = duration(tick), .it_interval = duration(tick)};
  watchdog.tick = tick;
  return timer_settime(watchdog.ticker, 0, &when, NULL) == 0;
}

static void forget_hooks(void) {
  watchdog.raised = watchdog.stopping = watchdog.unwinding = 0;
  watchdog.waiting = watchdog.noted = 0;
  if (watchdog.running) clear_hook(watchdog.running);
}

/* Rarely called, and not inlined, so that watchdog_restart() stays a few instructions. */
__attribute__((noinline)) static void restart_hooks(uint32_t now) {
  if (watchdog.raised) forget_hooks();
  if (!watchdog.is_due && watchdog.timeout > 0) start_wall(now, watchdog.timeout);
}

void watchdog_restart(void) {
  uint32_t now = wall_now();
  watchdog.began = (sig_atomic_t)now;
  watchdog.is_seen = 0;
  if (watchdog.raised || !watchdog.is_due) restart_hooks(now);
}

void watchdog_restart_processor_time(void) {
  watchdog.is_seen = 0;
  if (watchdog.raised) forget_hooks();
}

uint32_t watchdog_restarted_at(void) { return (uint32_t)watchdog.began; }

/* Rarely called: most calls are not nested. */
__attribute__((noinline)) static void keep_outer(struct watch *outer) {
  outer->began = (uint32_t)watchdog.began;
  outer->spent = (uint32_t)watchdog.spent;
  outer->is_seen = watchdog.is_seen;
  outer->timeout = watchdog.timeout;
  outer->held = watchdog.held;
  outer->stopping = watchdog.stopping;
  outer->unwinding = watchdog.unwinding;
}

__attribute__((noinline)) static void restore_outer(const struct watch *outer) {
  watchdog.began = (sig_atomic_t)outer->began;
  watchdog.spent = (sig_atomic_t)outer->spent;
  watchdog.is_seen = outer->is_seen;
  watchdog.timeout = outer->timeout;
  watchdog.held = outer->held;
  watchdog.stopping = outer->stopping;
  watchdog.unwinding = outer->unwinding;
  watchdog.raised = outer->stopping || outer->unwinding;
  watchdog.running = outer->running;
  if (outer->running && outer->timeout > 0 && !watchdog.is_due) start_wall(wall_now(), 1);
}

/* Clears the flags and the hook of the call that has ended, which is not `running` any more. True:
 * the call was stopped. */
__attribute__((noinline)) static bool drop_raised(lua_State *state) {
  bool was_stopped = watchdog_is_stopping();
  if (state && (was_stopped || watchdog.waiting)) clear_hook(state);
  watchdog.raised = watchdog.stopping = watchdog.unwinding = 0;
  watchdog.waiting = watchdog.noted = 0;
  return was_stopped;
}

void watchdog_enter(struct watch *outer, lua_State *state, int64_t timeout) {
  outer->running = watchdog.running;
  watchdog.running = NULL; /* From here on no signal handler changes anything. */
  if (watchdog.depth++ > 0) keep_outer(outer);
  uint32_t now = wall_now();
  if (watchdog.raised) (void)drop_raised(NULL);
  watchdog.held = 0;
  watchdog.timeout = as_timeout(timeout);
  watchdog.began = (sig_atomic_t)now;
  watchdog.is_seen = 0;
  watchdog.running = state;
  if (timeout <= 0) return;
  if (!watchdog.is_due || between(watchdog.due, now + (uint32_t)watchdog.timeout) < 0)
    start_wall(now, watchdog.timeout);
}

bool watchdog_leave(const struct watch *outer) {
  lua_State *state = watchdog.running;
  watchdog.running = NULL; /* From here on no signal handler changes anything. */
  bool was_stopped = watchdog.raised && drop_raised(state);
  if (--watchdog.depth > 0) restore_outer(outer);
  return was_stopped;
}

/* Takes off the time held since the last tick: two ticks may be further apart than a time limit. */
static void end_hold(void) {
  if (!watchdog.is_seen) return;
  lua_State *running = watchdog.running;
  watchdog.running = NULL; /* A tick in between changes nothing. */
  take_off(spent_now());
  watchdog.running = running;
}

static void begin_hold(void) {
  if (watchdog.is_seen) watchdog.held_since = (sig_atomic_t)spent_now();
}

void watchdog_hold(void) {
  if (watchdog.held == 0) begin_hold();
  watchdog.held++;
}

void watchdog_release(void) {
  if (watchdog.held == 1) end_hold();
  watchdog.held--;
}

int watchdog_drop_holds(void) {
  int held = watchdog.held;
  if (held == 0) return 0;
  end_hold();
  watchdog.held = 0;
  if (watchdog.timeout > 0 && has_overrun((uint32_t)watchdog.held_since))
    watchdog.raised = watchdog.stopping = 1;
  return held;
}

void watchdog_restore_holds(int held) {
  if (held == 0) return;
  begin_hold();
  watchdog.held = held;
  if (!watchdog_is_stopping()) return;
  watchdog.stopping = watchdog.unwinding = 0;
  if (watchdog.running) clear_hook(watchdog.running);
}

lua_State *watchdog_switch(lua_State *state) {
  lua_State *outer = watchdog.running;
  watchdog.running = state;
  clear_hook(state); /* It may have inherited one. */
  apply_hook(state);
  return outer;
}

void watchdog_switch_back(lua_State *outer, lua_State *inner) {
  watchdog.running = outer;
  clear_hook(inner);
  if (outer) apply_hook(outer);
}

void watchdog_stop_again(void) {
  if (!watchdog.unwinding) return;
  watchdog.unwinding = 0;
  watchdog.stopping = 1;
  if (watchdog.running) set_hook(watchdog.running, stop);
}
