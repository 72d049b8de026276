#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/paths.h"
#include "simulator/program.h"

static const char usage[] =
    "usage: parlance new [--bare] NAME\n"
    "\n"
    "Makes a protocol to begin with in this folder: NAME.lua, a transcript for `check`, a spec "
    "for\n"
    "busted, and what busted and an editor need to know. With --bare it makes NAME.lua alone, in "
    "ten\n"
    "lines. Overwrites nothing.\n";

/* Parses the arguments. False: they are not exactly one name. */
static bool parse(int argc, char **argv, const char **name, bool *is_bare) {
  *name = NULL;
  *is_bare = false;
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--bare") == 0)
      *is_bare = true;
    else if (*name || strncmp(argv[i], "--", 2) == 0)
      return false;
    else
      *name = argv[i];
  }
  return *name != NULL;
}

int command_new(int argc, char **argv) {
  const char *name;
  bool is_bare;
  if (argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
    fputs(usage, stdout);
    return EXIT_STOPPED;
  }
  if (!parse(argc, argv, &name, &is_bare)) {
    fputs("parlance: new takes one name, as in: parlance new greet\n", stderr);
    return EXIT_REFUSED;
  }
  const struct program_option options[] = {{"name", name}, {"binary", argv[0]}, {"bare", ""}};
  const struct program program = {.name = "new",
                                  .failed = EXIT_FAILED,
                                  .modules = paths_modules(),
                                  .options = options,
                                  .option_count = is_bare ? 3 : 2};
  return program_run(&program);
}
