/* reaper.h: programs that nobody wants to hear from any more.
 *
 * pclose() waits for the end of its program, which may be far away. Here a thread does that, one
 * for each program that has not ended, so that the caller goes on and no zombie stays behind. */
#ifndef BASE_REAPER_H
#define BASE_REAPER_H

#include <stdio.h>

/* Closes the pipe from popen(), which is the reaper's from here on; the program is told by that if
 * it still writes, and goes on otherwise. Does not wait, unless there is no thread to be had. */
void reaper_close(FILE *pipe);

#endif
