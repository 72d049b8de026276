/* background.h: work that may block for long, each in a thread of its own.
 *
 * Such a thread gets no signals, because they are for the main thread, and nobody waits for it. */
#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Runs run(context) in a new thread with a stack of so many bytes. False: none can be started. */
bool background_start(void *(*run)(void *context), void *context, size_t stack);

/* Closes a pipe from popen(); the caller must not use it any more. The program gets SIGPIPE if it
 * still writes, and otherwise goes on. pclose() waits for its end, which may take long: a thread
 * does that, so that no zombie stays behind. The caller waits only if no thread can be started. */
void background_close_pipe(FILE *pipe);

#endif
