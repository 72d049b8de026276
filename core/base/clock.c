#include "base/clock.h"

#include <time.h>

static int64_t read_milliseconds(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_milliseconds(void) { return read_milliseconds(CLOCK_MONOTONIC); }

int64_t clock_coarse_milliseconds(void) { return read_milliseconds(CLOCK_MONOTONIC_COARSE); }

double clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
