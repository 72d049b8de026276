/* reaper.h: closes pipes of popen() without waiting.
 *
 * pclose() waits for the end of its program, which may take long. Here a thread of its own waits
 * for each program, so that the caller goes on and no zombie stays behind. */
#ifndef BASE_REAPER_H
#define BASE_REAPER_H

#include <stdio.h>

/* Closes a pipe from popen(); the caller must not use it any more. The program gets SIGPIPE if it
 * still writes, and otherwise goes on. Waits for the program only if no thread can be started. */
void reaper_close(FILE *pipe);

#endif
