/* takeover.h: a new version takes over from the one that serves. Private to the reload room.
 *
 * The functions are called in the order in which they stand here. */
#ifndef RELOAD_TAKEOVER_H
#define RELOAD_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "script/script.h"

struct generation;

/* Calls restore(save()), if the old version has `save` and the new one has `restore`. False: *step
 * is the function that failed, and script->gate.error has the reason. */
bool takeover_migrate_state(struct script *script, const struct generation *next,
                            const char **step);

enum { TAKEOVER_NAMES_MAX = 1024 };

/* Finds the tables that have content in the serving version and are empty in `next`, and stores
 * their names. "": there are none, restore() was called, or the search has failed. To be called
 * before takeover_run(). */
void takeover_find_dropped(struct script *script, const struct generation *next,
                           char names[static TAKEOVER_NAMES_MAX]);

/* From now on `next` serves, and is the successor of all older versions. The tasks of the old
 * version end, and those of `next` begin. Cannot fail. */
void takeover_run(struct script *script, struct generation *next, int64_t now);

/* Frees the version that served before takeover_run(), if it has no sessions. */
void takeover_free_old(struct script *script);

#endif
