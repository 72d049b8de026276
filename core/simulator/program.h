/* program.h: the tools, which are Lua programs (lua/parlance/workbench) in a state of their own.
 *
 * While one runs, what a script prints goes to standard error; standard output is the program's. */
#ifndef SIMULATOR_PROGRAM_H
#define SIMULATOR_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "script/script.h"

/* A script that the program is to work on. */
struct program_script {
  const struct script_options *options;
  const char *const *transcripts;
  size_t transcript_count;
};

/* --format json: "format" and "json"; a flag has the value "". */
struct program_option {
  const char *name;
  const char *value;
};

struct program {
  const char *name;    /* of its module: parlance.workbench.NAME */
  int failed;          /* the exit status if the program itself fails */
  const char *modules; /* the folder of the modules that come with the server */
  const struct program_script *scripts;
  size_t script_count;
  const struct program_option *options;
  size_t option_count;
  bool (*is_address)(const char *text, const char **why);
};

/* Runs the program, a function that is given a table with
 *
 *   scripts           a list of { path =, options =, transcripts = }; options are those of
 *                     simulator.load()
 *   options           what was given, by name
 *   is_address(text)  whether a server can listen there; false and why not
 *   disk              what io lacks to make files and destroy none: see simulator/disk.h
 *   write(text)       writes to standard output
 *
 * and returns the exit status. One that fails is reported on standard error. */
int program_run(const struct program *program);

#endif
