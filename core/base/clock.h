/* clock.h: the monotonic clock for deadlines, and the real time for people.
 *
 * The session room never reads a clock: its callers pass the time, so that specs can set it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* The deadline of something that may wait for ever. */
#define CLOCK_NEVER INT64_MAX

/* Returns the milliseconds since an arbitrary start (CLOCK_MONOTONIC). */
int64_t clock_milliseconds(void);

/* Returns the seconds since the same start, with a resolution of nanoseconds. */
double clock_seconds(void);

/* Returns clock_milliseconds() as of the kernel's last tick: up to 10 ms late, and several times
 * cheaper. Async-signal-safe. */
int64_t clock_coarse_milliseconds(void);

/* Returns the milliseconds since 1970 (CLOCK_REALTIME). This clock may jump. */
int64_t clock_real_milliseconds(void);

/* Returns clock_real_milliseconds() as of the kernel's last tick, as time() and os.time() do. */
int64_t clock_coarse_real_milliseconds(void);

/* Writes a real time in UTC, such as 2026-11-22T16:58:38.512Z. */
enum { CLOCK_TEXT_MAX = 32 };
void clock_format(int64_t real_milliseconds, char text[CLOCK_TEXT_MAX]);

#endif
