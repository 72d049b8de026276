/* checker.h: the check that a script must pass before it is reloaded (--preflight). It is `parlance
 * check` in a process of its own. This module makes its command line, and reads how it ended. */
#ifndef CLI_CHECKER_H
#define CLI_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "io/child.h"
#include "reload/reload.h"
#include "server/server.h"

/* The ms that a check may take. Playing transcripts takes 2 s of it; the rest is for loading. */
enum { CHECKER_TIME = 20000 };

enum { CHECKER_NUMBERS_MAX = 12, CHECKER_NUMBER_MAX = 24 };

struct checker {
  struct child_command plan; /* The command, which points to `words`. */
  size_t word_count;
  char **words; /* The last one is followed by NULL. */
  size_t number_count;
  char numbers[CHECKER_NUMBERS_MAX][CHECKER_NUMBER_MAX];
  size_t setting_count;
  char **settings; /* Each is "NAME=VALUE". */
  char *folder;    /* The folder of the script's transcripts. */
  bool allows_effects;
};

/* Prepares the check of a script that is loaded with these options. The options must outlive the
 * checker, and the checker must not be moved. STATUS_NO_MEMORY. */
enum status checker_init(struct checker *checker, const struct script_options *options,
                         bool allows_effects, char *const *environment);

/* Calls reload_find_changes() with the transcripts of the script. */
enum reload_outcome checker_find_changes(const struct checker *checker, struct script *script,
                                         bool is_forced, int64_t now);

/* Calls reload_try_checked() with what the program has found. */
enum reload_outcome checker_reload(const struct checker *checker, struct script *script,
                                   bool is_forced, const struct check_end *end, int64_t now);

/* Frees everything. A checker that is all zeros is ignored. */
void checker_deinit(struct checker *checker);

#endif
