#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/places.h"
#include "stage/program.h"

static const char usage[] =
    "usage: parlance new NAME\n"
    "\n"
    "Makes a protocol to begin with in this folder: NAME.lua, a transcript for `check`, a spec "
    "for\n"
    "busted, and what busted and an editor need to know. Overwrites nothing.\n";

int command_new(int argc, char **argv) {
  if (argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
    fputs(usage, stdout);
    return EXIT_STOPPED;
  }
  if (argc != 3) {
    fputs("parlance: new takes one name, as in: parlance new greet\n", stderr);
    return EXIT_REFUSED;
  }
  const struct program_option options[] = {{"name", argv[2]}, {"binary", argv[0]}};
  const struct program program = {.name = "new",
                                  .failed = EXIT_FAILED,
                                  .modules = places_modules(),
                                  .options = options,
                                  .option_count = sizeof options / sizeof *options};
  return program_run(&program);
}
