/* commands.h: what the binary can be told to do. Each returns the exit status. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

/* Exit statuses: see options_help. */
enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_REFUSED = 2 };

/* Serves the scripts until the process is told to stop. */
int command_serve(const struct options *options);

/* Loads and validates the scripts. */
int command_check(const struct options *options);

/* Where a script that is loaded wants to listen: its own word, else the default. False: its word is
 * no address, which was reported. */
bool commands_own_address(const struct script_options *options, const struct script *script,
                          struct address *address);

#endif
