/* version.h: makes one version of a script from its files. */
#ifndef RELOAD_VERSION_H
#define RELOAD_VERSION_H

#include "reload/ahead.h"
#include "reload/sources.h"
#include "script/script.h"

struct generation;

/* Makes a generation from the files as they are now, or, as far as they have been read already, as
 * they stand in `ahead`; NULL if it is no good: then script->gate.error has the reason, and
 * *sources, which is the caller's to free, what was read. script_free_generation() frees it. */
struct generation *version_make(struct script *script, struct ahead *ahead,
                                struct sources *sources);

/* Why the last version could not be made, without a traceback and with the script's path; it lives
 * until the script is next called. */
const char *version_error(struct script *script);

#endif
