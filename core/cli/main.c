#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/paths.h"

/* Opens standard streams that are closed: otherwise a socket would get the number of one. */
static void open_standard_streams(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

/* Returns the exit status, which is EXIT_FAILED if standard output cannot be written. */
static int finished(int status) {
  bool is_told = fflush(stdout) == 0 && !ferror(stdout);
  return status == EXIT_STOPPED && !is_told ? EXIT_FAILED : status;
}

static int run(const struct options *options, char **argv) {
  if (options->paths) return command_paths();
  if (options->help) return command_help(options);
  if (options->version) {
    puts("parlance " PARLANCE_VERSION);
    return EXIT_STOPPED;
  }
  return options->command == COMMAND_SERVE ? command_serve(options) : command_tool(options, argv);
}

int main(int argc, char **argv) {
  struct options options;
  open_standard_streams();
  if (argc > 1 && strcmp(argv[1], "new") == 0) return finished(command_new(argc, argv));
  int status = EXIT_REFUSED;
  if (options_parse(&options, argc, argv)) {
    const char *modules = paths_modules();
    for (size_t i = 0; i < options.script_count; i++) options.scripts[i].script.modules = modules;
    status = finished(run(&options, argv));
  }
  options_deinit(&options);
  return status;
}
