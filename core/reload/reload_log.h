/* reload_log.h: writes the events of reloads to the log. Private to the reload room. */
#ifndef RELOAD_RELOAD_LOG_H
#define RELOAD_RELOAD_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "reload/sources.h"
#include "script/script.h"

/* The check that a version has passed. */
struct reload_check {
  size_t transcripts;
  int64_t ms; /* The time from the moment when the changes were found to the takeover. */
};

/* `reloaded`: the version that serves has taken over. `files` may be NULL; the files that have
 * changed are marked in it. `longest` is the longest time for which the clients have waited without
 * a break, in seconds. `check` is NULL if there was none. */
void reload_log_done(const struct script *script, const struct sources *files, double longest,
                     const struct reload_check *check);

/* `reload_failed`: a new version is not valid. `step` names the step that failed, and `detail`
 * tells why. `now` is in ms. */
void reload_log_failed(const struct script *script, const char *step, const char *detail,
                       int64_t now);

/* `reload_undone`: after a failure, the files are again those of the version that serves. */
void reload_log_undone(const struct script *script);

/* `state_lost`: `names` lists tables that are empty in the new version. Nothing is logged if it is
 * empty. */
void reload_log_dropped(const struct script *script, const char *names);

#endif
