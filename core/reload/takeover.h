/* takeover.h: a version that was made takes over from the one that serves. Private to the reload
 * room. */
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

/* From now on `next` serves. Connections migrate to it by themselves. Cannot fail. */
void takeover_run(struct script *script, struct generation *next, int64_t now);

/* Frees what the version before was, if it has no connections. */
void takeover_free_old(struct script *script);

/* Names of state that the old version had and the new one begins without. */
enum { TAKEOVER_NAMES_MAX = 1024 };

/* Finds out which tables of the version that serves are filled, and empty in `next`; "" if there
 * are none, or if they cannot be found out. */
void takeover_find_dropped(struct script *script, const struct generation *next,
                           char names[static TAKEOVER_NAMES_MAX]);

#endif
