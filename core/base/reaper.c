#include "base/reaper.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

enum { STACK = 256 * 1024 };

static void *close_pipe(void *pipe) {
  (void)pclose(pipe);
  return NULL;
}

static bool start(FILE *pipe) {
  pthread_t thread;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  bool is_started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                    pthread_attr_setstacksize(&attributes, STACK) == 0 &&
                    pthread_create(&thread, &attributes, close_pipe, pipe) == 0;
  pthread_attr_destroy(&attributes);
  return is_started;
}

/* Blocks all signals in the new thread, so that the main thread gets them. */
void reaper_close(FILE *pipe) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool is_started = start(pipe);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!is_started) (void)pclose(pipe);
}
