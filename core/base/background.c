#include "base/background.h"

#include <pthread.h>
#include <signal.h>

enum { PIPE_STACK = 256 * 1024 };

bool background_start(void *(*run)(void *context), void *context, size_t stack) {
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, before;
  if (pthread_attr_init(&attributes) != 0) return false;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool is_started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                    pthread_attr_setstacksize(&attributes, stack) == 0 &&
                    pthread_create(&thread, &attributes, run, context) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return is_started;
}

static void *close_pipe(void *pipe) {
  (void)pclose(pipe);
  return NULL;
}

void background_close_pipe(FILE *pipe) {
  if (!background_start(close_pipe, pipe, PIPE_STACK)) (void)pclose(pipe);
}
