#include "base/clock.h"

#include <stdio.h>
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

int64_t clock_real_milliseconds(void) { return read_milliseconds(CLOCK_REALTIME); }

int64_t clock_coarse_real_milliseconds(void) { return read_milliseconds(CLOCK_REALTIME_COARSE); }

void clock_format(int64_t real_milliseconds, char text[CLOCK_TEXT_MAX]) {
  time_t seconds = (time_t)(real_milliseconds / 1000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  size_t length = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + length, CLOCK_TEXT_MAX - length, ".%03dZ", (int)(real_milliseconds % 1000));
}
