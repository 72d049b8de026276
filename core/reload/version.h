/* version.h: makes one version of a script from its files. */
#ifndef RELOAD_VERSION_H
#define RELOAD_VERSION_H

#include "reload/sources.h"
#include "script/script.h"

struct generation;

/* Makes a generation from the files as they stand in `as_read`, and from the disk where they do not
 * stand there; `as_read` may be NULL. script_free_generation() frees it. NULL: the version is no
 * good, script->gate.error has the reason, and *sources, which the caller frees, the files that
 * were read. */
struct generation *version_make(struct script *script, const struct sources *as_read,
                                struct sources *sources);

/* Why the last version could not be made, without a traceback and with the script's path. It lives
 * until the next call into the script. */
const char *version_error(struct script *script);

#endif
