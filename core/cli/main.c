#include <fcntl.h>
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

/* A server started with a standard stream closed would take its number for a socket. */
static void open_standard_streams(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

/* What was to be printed has been; a full disk is no success. */
static int printed(void) { return fflush(stdout) == 0 ? EXIT_STOPPED : EXIT_FAILED; }

int main(int argc, char **argv) {
  struct options options;
  open_standard_streams();
  int status = EXIT_REFUSED;
  if (options_parse(&options, argc, argv)) {
    const char *modules = find_modules();
    for (size_t i = 0; i < options.script_count; i++) options.scripts[i].script.modules = modules;
    if (options.help)
      fputs(options_help, stdout);
    else if (options.version)
      puts("parlance " PARLANCE_VERSION);
    status = EXIT_STOPPED;
    if (!options.help && !options.version)
      status = options.command == COMMAND_SERVE ? command_serve(&options) : command_tool(&options);
    if (status == EXIT_STOPPED) status = printed();
  }
  options_deinit(&options);
  return status;
}
