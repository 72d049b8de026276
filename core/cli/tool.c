#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/commands.h"

static bool is_address(const char *text, const char **why) {
  struct address address;
  static char reason[256];
  if (address_parse_listener(text, &address, why) == STATUS_OK) return true;
  snprintf(reason, sizeof reason, "%s%s", *why, address_hint(text));
  *why = reason;
  return false;
}

/* Runs the program again without address randomization, so that two runs with one seed are the
 * same: the order of pairs() depends on addresses. Where the kernel does not allow that (in some
 * containers), the program goes on as it is. */
static void fix_addresses(char **argv) {
  int flags = personality(0xffffffff);
  if (flags < 0 || (flags & ADDR_NO_RANDOMIZE) || getauxval(AT_SECURE)) return;
  if (personality((unsigned long)flags | ADDR_NO_RANDOMIZE) < 0) return;
  execv("/proc/self/exe", argv);
}

int command_tool(const struct options *options, char **argv) {
  static const char *const names[] = {[COMMAND_CHECK] = "check", [COMMAND_FUZZ] = "fuzz"};
  fix_addresses(argv);
  struct program_script *scripts = calloc(options->script_count, sizeof *scripts);
  if (!scripts) {
    fputs("parlance: not enough memory\n", stderr);
    return EXIT_REFUSED;
  }
  for (size_t i = 0; i < options->script_count; i++)
    scripts[i] =
        (struct program_script){&options->scripts[i].script, options->scripts[i].transcripts,
                                options->scripts[i].transcript_count};
  struct program program = {.name = names[options->command],
                            .failed = EXIT_REFUSED, /* 1 would mean that something was found. */
                            .modules = options->scripts[0].script.modules,
                            .scripts = scripts,
                            .script_count = options->script_count,
                            .options = options->tool,
                            .option_count = options->tool_count,
                            .is_address = is_address};
  /* A check that a server has started ends with the server. */
  if (options->wants_fingerprint) prctl(PR_SET_PDEATHSIG, SIGKILL);
  int status = program_run(&program);
  free(scripts);
  return status;
}
