/* program.h: runs one of the tools, which are Lua programs (lua/parlance/workbench), in a Lua state
 * of its own.
 *
 * While a program runs, standard output is redirected to standard error: only the program's
 * write() reaches standard output. */
#ifndef SIMULATOR_PROGRAM_H
#define SIMULATOR_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "script/script.h"

/* A script that the program works on. */
struct program_script {
  const struct script_options *options;
  const char *const *transcripts;
  size_t transcript_count;
};

/* An option of the command line: "format" and "json". A flag has the value "". */
struct program_option {
  const char *name;
  const char *value;
};

struct program {
  const char *name;    /* The program is the module parlance.workbench.NAME. */
  int failed;          /* The exit status if the program raises an error. */
  const char *modules; /* The folder of the modules that come with the server, or NULL. */
  const struct program_script *scripts;
  size_t script_count;
  const struct program_option *options;
  size_t option_count;
  bool (*is_address)(const char *text, const char **why);
};

/* Runs the program and returns its exit status. Reports an error of the program on standard error.
 * The program is a function that returns its exit status. Its argument is a table with
 *
 *   scripts           a list of { path =, options =, transcripts = }; options are those of
 *                     simulator.load()
 *   options           a table of the options by name
 *   is_address(text)  whether a server can listen at the address; if not, also why not
 *   disk              the functions of simulator/disk.h
 *   write(text)       writes to standard output */
int program_run(const struct program *program);

#endif
