/* reload_log.h: what the log says of reloads. Private to the reload room. */
#ifndef RELOAD_RELOAD_LOG_H
#define RELOAD_RELOAD_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "reload/sources.h"
#include "script/script.h"

/* The check that a version has passed. */
struct reload_check {
  size_t transcripts;
  int64_t ms; /* From when the change was noticed to the end of the check. */
};

/* `reloaded`: the version that serves has taken over. `files`, which may be NULL, has marks on
 * those that have changed; `longest` is for how many seconds the clients waited at a stretch;
 * `check` is NULL where none is needed. */
void reload_log_done(const struct script *script, const struct sources *files, double longest,
                     const struct reload_check *check);

/* `reload_failed`: a new version is no good. `step` is what failed, `detail` why, `now` in ms. */
void reload_log_failed(const struct script *script, const char *step, const char *detail,
                       int64_t now);

/* `reload_undone`: after a failure, the files are again the ones that serve. */
void reload_log_undone(const struct script *script);

/* `state_lost`, unless `names` is empty: tables that the new version begins without. */
void reload_log_dropped(const struct script *script, const char *names);

#endif
