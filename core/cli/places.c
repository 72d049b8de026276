#include "cli/places.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Follows `way` from the binary's folder: false if that leads to no folder with `content` in it. */
static bool follow(const char *way, const char *content, char folder[PATH_MAX]) {
  char path[2 * PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  if (length <= 0 || length == PATH_MAX) return false;
  path[length] = '\0';
  char *end = strrchr(path, '/');
  if (!end) return false;
  size_t room = sizeof path - (size_t)(end + 1 - path);
  int written = snprintf(end + 1, room, "%s/%s", way, content);
  if (written < 0 || (size_t)written >= room || access(path, R_OK) != 0) return false;
  end[1 + strlen(way)] = '\0';
  return realpath(path, folder) != NULL;
}

const char *places_modules(void) {
  static char folder[PATH_MAX];
  return follow(PARLANCE_DATA_FROM_BIN "/lua", "parlance", folder) ||
                 follow("../../lua", "parlance", folder)
             ? folder
             : NULL;
}

const char *places_c_modules(void) {
  static char folder[PATH_MAX];
  return follow(PARLANCE_LIB_FROM_BIN "/lua/5.4", "parlance/simulator.so", folder) ||
                 follow("lua", "parlance/simulator.so", folder)
             ? folder
             : NULL;
}
