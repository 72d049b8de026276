/* commands.h: the commands of the binary. Each function returns the exit status. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

/* Exit statuses: see options_help. */
enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_REFUSED = 2 };

/* Serves the scripts until the process is told to stop. */
int command_serve(const struct options *options);

/* Prints the options. If scripts are given, loads each without serving it, and prints its address,
 * example, settings and limits. */
int command_help(const struct options *options);

/* Runs check or fuzz. `argv` is that of main(): the process may run itself again with it. */
int command_tool(const struct options *options, char **argv);

/* Makes the files of a new protocol in the current folder: `parlance new NAME`. */
int command_new(int argc, char **argv);

/* Prints where Lua finds the modules that come with the server: a line for Lua, one for C. */
int command_paths(void);

#endif
