/* checker.h: the check that a script has to pass before it is reloaded (--preflight): `parlance
 * check` in a process of its own, and what it means how that ends. */
#ifndef CLI_CHECKER_H
#define CLI_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "io/child.h"
#include "reload/reload.h"
#include "server/server.h"

/* ms that a check may take in all; most is for what is not play. */
enum { CHECKER_TIME = 20000 };

enum { CHECKER_NUMBERS_MAX = 8, CHECKER_NUMBER_MAX = 24 };

struct checker {
  struct child_command plan; /* what to run; the words are these: */
  size_t word_count;
  char **words; /* NULL behind the last */
  size_t number_count;
  char numbers[CHECKER_NUMBERS_MAX][CHECKER_NUMBER_MAX];
  size_t setting_count;
  char **settings; /* as they are typed: NAME=VALUE */
  char *folder;    /* of the script's transcripts */
  bool allows_effects;
};

/* The check of a script that is loaded with these options. Points into them; the checker itself
 * must stay where it is. STATUS_NO_MEMORY. */
enum status checker_init(struct checker *checker, const struct script_options *options,
                         bool allows_effects, char *const *environment);

/* See reload_find_changes(): the transcripts are what the check depends on beside the script. */
enum reload_outcome checker_find_changes(const struct checker *checker, struct script *script,
                                         bool is_forced, int64_t now);

/* See reload_try_checked(). */
enum reload_outcome checker_reload(const struct checker *checker, struct script *script,
                                   bool is_forced, const struct check_end *end, int64_t now);

/* All zeros is ignored. */
void checker_deinit(struct checker *checker);

#endif
