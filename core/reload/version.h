/* version.h: makes one version of a script from its files. */
#ifndef RELOAD_VERSION_H
#define RELOAD_VERSION_H

#include "reload/ahead.h"
#include "reload/sources.h"
#include "script/script.h"

struct generation;

/* Makes a generation from the files, which are taken from `ahead` where they stand there. It is to
 * be freed by script_free_generation(). NULL: it failed; script->gate.error has the reason, and
 * *sources, which the caller frees, the files that were read. */
struct generation *version_make(struct script *script, struct ahead *ahead,
                                struct sources *sources);

/* Why the last version could not be made, without a traceback and with the script's path. It lives
 * until the next call into the script. */
const char *version_error(struct script *script);

#endif
