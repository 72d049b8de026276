#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

/* The modules that come with the server: beside the binary's folder where it was installed, or two
 * above it in a build tree. NULL: neither is there. */
static const char *find_modules(void) {
  static const char *const places[] = {PARLANCE_DATA_FROM_BIN "/lua", "../../lua"};
  static char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0) return NULL;
  path[length] = '\0';
  char *end = strrchr(path, '/');
  if (!end) return NULL;
  size_t room = sizeof path - (size_t)(end + 1 - path);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    if ((size_t)snprintf(end + 1, room, "%s/parlance", places[i]) >= room) continue;
    if (access(path, R_OK) != 0) continue;
    *strrchr(path, '/') = '\0';
    return path;
  }
  return NULL;
}

int main(int argc, char **argv) {
  struct options options;
  bool is_check = argc > 1 && strcmp(argv[1], "check") == 0;
  int status = EXIT_REFUSED;
  if (options_parse(&options, argc, argv, is_check ? 2 : 1)) {
    const char *modules = find_modules();
    for (size_t i = 0; i < options.script_count; i++) options.scripts[i].script.modules = modules;
    if (options.help)
      status = fputs(options_help, stdout) < 0 ? EXIT_FAILED : EXIT_STOPPED;
    else if (options.version)
      status = puts("parlance " PARLANCE_VERSION) < 0 ? EXIT_FAILED : EXIT_STOPPED;
    else
      status = is_check ? command_check(&options) : command_serve(&options);
  }
  options_deinit(&options);
  return status;
}
