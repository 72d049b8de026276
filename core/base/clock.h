/* clock.h: the monotonic clock that every deadline of the server is measured by, and what time it
 * is for people.
 *
 * The session room never reads it: it is told the time, so that specs can move it by hand. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* A time that never comes: the deadline of something that may wait for ever. */
#define CLOCK_NEVER INT64_MAX

/* Milliseconds since an arbitrary start (CLOCK_MONOTONIC). */
int64_t clock_milliseconds(void);

/* The same start in seconds, to the nanosecond, for scripts that measure. */
double clock_seconds(void);

/* The same in milliseconds from the kernel's last tick: up to 10 ms late and several times cheaper.
 * Async-signal-safe. */
int64_t clock_coarse_milliseconds(void);

/* Milliseconds since 1970, for people and for files. It may jump. */
int64_t clock_real_milliseconds(void);

/* The same from the kernel's last tick, which is what time() and os.time() go by. */
int64_t clock_coarse_real_milliseconds(void);

/* Such a time in UTC, as 2026-11-22T16:58:38.512Z. */
enum { CLOCK_TEXT_MAX = 32 };
void clock_format(int64_t real_milliseconds, char text[CLOCK_TEXT_MAX]);

#endif
