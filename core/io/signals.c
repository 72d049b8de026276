#include "io/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t write_end = -1;
static volatile sig_atomic_t asked_to_stop;
static volatile sig_atomic_t asked_to_reload;
static volatile sig_atomic_t asked_to_reopen;
static volatile sig_atomic_t asked_for_nothing; /* SIGUSR2 has come. */

/* The write fails only if the pipe is full, and then it is readable already. */
static void wake(void) {
  int saved = errno;
  ssize_t written = write(write_end, "", 1);
  (void)written;
  errno = saved;
}

static void on_stop(int signal_number) {
  (void)signal_number;
  if (asked_to_stop) _exit(1);
  asked_to_stop = 1;
  wake();
}

static void on_reload(int signal_number) {
  (void)signal_number;
  asked_to_reload = 1;
  wake();
}

static void on_reopen(int signal_number) {
  (void)signal_number;
  asked_to_reopen = 1;
  wake();
}

static void on_ignored(int signal_number) {
  (void)signal_number;
  asked_for_nothing = 1;
  wake();
}

static void do_nothing(int signal_number) { (void)signal_number; }

bool signals_asked_to_stop(void) { return asked_to_stop; }

static bool take(volatile sig_atomic_t *flag) {
  bool was_set = *flag;
  *flag = 0;
  return was_set;
}

bool signals_take_reload(void) { return take(&asked_to_reload); }

bool signals_take_reopen(void) { return take(&asked_to_reopen); }

bool signals_take_ignored(void) { return take(&asked_for_nothing); }

static bool set_handler(int signal_number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  return sigaction(signal_number, &action, NULL) == 0;
}

bool signals_catch_reload(void) {
  return set_handler(SIGHUP, on_reload) && set_handler(SIGUSR1, on_reopen) &&
         set_handler(SIGUSR2, on_ignored);
}

enum status signals_open(int *fd) {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return STATUS_ERROR;
  write_end = ends[1];
  if (!set_handler(SIGTERM, on_stop) || !set_handler(SIGINT, on_stop) || !signals_catch_reload() ||
      !set_handler(SIGPIPE, do_nothing) || !set_handler(SIGXFSZ, do_nothing)) {
    close(ends[0]);
    close(ends[1]);
    return STATUS_ERROR;
  }
  if (asked_to_reload || asked_to_reopen || asked_for_nothing) wake();
  *fd = ends[0];
  return STATUS_OK;
}
