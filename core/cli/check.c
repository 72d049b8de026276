#include <stdio.h>

#include "cli/commands.h"

bool commands_own_address(const struct script_options *options, const struct script *script,
                          struct address *address) {
  const char *why, *listen = script_listen(script);
  if (listen[0] == '\0') listen = "localhost:8888";
  if (address_parse(listen, address, &why) == STATUS_OK) return true;
  fprintf(stderr, "parlance: %s: listen is \"%s\": %s\n", options->path, listen, why);
  return false;
}

static bool check_one(const struct script_options *options) {
  struct script *script;
  const char *error;
  if (script_create(options, &script) != STATUS_OK) {
    fprintf(stderr, "parlance: %s: not enough memory\n", options->path);
    return false;
  }
  struct address address;
  bool is_valid = script_load(script, &error);
  if (!is_valid)
    fprintf(stderr, "parlance: %s\n", error);
  else
    is_valid = commands_own_address(options, script, &address);
  if (is_valid) printf("%s: valid\n", options->path);
  script_destroy(script);
  return is_valid;
}

int command_check(const struct options *options) {
  bool all_valid = true;
  for (size_t i = 0; i < options->script_count; i++)
    all_valid = check_one(&options->scripts[i].script) && all_valid;
  return all_valid ? EXIT_STOPPED : EXIT_REFUSED;
}
