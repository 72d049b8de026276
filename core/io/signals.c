#include "io/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t write_end = -1;
static volatile sig_atomic_t asked;
static volatile sig_atomic_t asked_to_reload;
static volatile sig_atomic_t unused; /* the last of those that mean nothing; 0: none came */

/* An empty pipe takes a byte, and one that is full has woken the loop already. */
static void wake(void) {
  ssize_t written = write(write_end, "", 1);
  (void)written;
}

static void on_stop(int signal_number) {
  (void)signal_number;
  int saved = errno;
  if (asked) _exit(1);
  asked = 1;
  wake();
  errno = saved;
}

static void on_reload(int signal_number) {
  (void)signal_number;
  int saved = errno;
  asked_to_reload = 1;
  wake();
  errno = saved;
}

static void on_unused(int signal_number) {
  int saved = errno;
  unused = signal_number;
  wake();
  errno = saved;
}

static void drop_it(int signal_number) { (void)signal_number; }

bool signals_asked_to_stop(void) { return asked; }

bool signals_take_reload(void) {
  bool was_asked = asked_to_reload;
  asked_to_reload = 0;
  return was_asked;
}

const char *signals_take_ignored(void) {
  int number = unused;
  unused = 0;
  if (number == 0) return NULL;
  return number == SIGUSR1 ? "SIGUSR1" : "SIGUSR2";
}

bool signals_catch_reload(void) {
  struct sigaction reload = {.sa_handler = on_reload, .sa_flags = SA_RESTART};
  struct sigaction ignore = {.sa_handler = on_unused, .sa_flags = SA_RESTART};
  sigemptyset(&reload.sa_mask);
  sigemptyset(&ignore.sa_mask);
  return sigaction(SIGHUP, &reload, NULL) == 0 && sigaction(SIGUSR1, &ignore, NULL) == 0 &&
         sigaction(SIGUSR2, &ignore, NULL) == 0;
}

enum status signals_open(int *fd) {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return STATUS_ERROR;
  write_end = ends[1];
  struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
  struct sigaction drop = {.sa_handler = drop_it, .sa_flags = SA_RESTART};
  sigemptyset(&stop.sa_mask);
  sigemptyset(&drop.sa_mask);
  if (sigaction(SIGTERM, &stop, NULL) != 0 || sigaction(SIGINT, &stop, NULL) != 0 ||
      !signals_catch_reload() || sigaction(SIGPIPE, &drop, NULL) != 0 ||
      sigaction(SIGXFSZ, &drop, NULL) != 0) {
    close(ends[0]);
    close(ends[1]);
    return STATUS_ERROR;
  }
  if (asked_to_reload || unused) wake();
  *fd = ends[0];
  return STATUS_OK;
}
