#include "cli/paths.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

/* Finds the folder at this path relative to the binary's folder. False: there is no such folder, or
 * `content` is not in it. */
static bool find_folder(const char *relative, const char *content, char folder[PATH_MAX]) {
  char path[2 * PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  if (length <= 0 || length == PATH_MAX) return false;
  path[length] = '\0';
  char *end = strrchr(path, '/');
  if (!end) return false;
  size_t room = sizeof path - (size_t)(end + 1 - path);
  int written = snprintf(end + 1, room, "%s/%s", relative, content);
  if (written < 0 || (size_t)written >= room || access(path, R_OK) != 0) return false;
  end[1 + strlen(relative)] = '\0';
  return realpath(path, folder) != NULL;
}

const char *paths_modules(void) {
  static char folder[PATH_MAX];
  return find_folder(PARLANCE_DATA_FROM_BIN "/lua", "parlance", folder) ||
                 find_folder("../../lua", "parlance", folder)
             ? folder
             : NULL;
}

const char *paths_c_modules(void) {
  static char folder[PATH_MAX];
  return find_folder(PARLANCE_LIB_FROM_BIN "/lua/5.4", "parlance/simulator.so", folder) ||
                 find_folder("lua", "parlance/simulator.so", folder)
             ? folder
             : NULL;
}

int command_paths(void) {
  const char *modules = paths_modules(), *c_modules = paths_c_modules();
  if (!modules || !c_modules) {
    fprintf(stderr,
            "parlance: %s not there; they come with `cmake --build` and `cmake --install`\n",
            modules ? "the C modules for spec runners are" : "the modules of the server are");
    return EXIT_FAILED;
  }
  printf("%s/?.lua\n%s/?.so\n", modules, c_modules);
  return EXIT_STOPPED;
}
