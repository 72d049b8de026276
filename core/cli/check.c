#include <stdio.h>

#include "cli/commands.h"

static bool check_one(const struct script_options *options) {
  struct script *script;
  const char *error;
  if (script_create(options, &script) != STATUS_OK) {
    fprintf(stderr, "parlance: %s: not enough memory\n", options->path);
    return false;
  }
  bool is_valid = script_load(script, &error);
  if (is_valid)
    printf("%s: valid\n", options->path);
  else
    fprintf(stderr, "parlance: %s\n", error);
  script_destroy(script);
  return is_valid;
}

int command_check(const struct options *options) {
  bool all_valid = true;
  for (size_t i = 0; i < options->script_count; i++)
    all_valid = check_one(&options->scripts[i].script) && all_valid;
  return all_valid ? EXIT_STOPPED : EXIT_REFUSED;
}
