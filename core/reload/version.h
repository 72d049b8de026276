/* version.h: makes one version of a script from its files. */
#ifndef RELOAD_VERSION_H
#define RELOAD_VERSION_H

#include "reload/sources.h"
#include "script/script.h"

struct generation;

/* Makes a generation, which script_free_generation() frees. The content of a file is taken from
 * `as_read`, or from the disk if `as_read` is NULL or does not have it. NULL: the version is not
 * valid. Then script->gate.error has the reason. *sources has the files that were read, and the
 * caller frees it. */
struct generation *version_make(struct script *script, const struct sources *as_read,
                                struct sources *sources);

/* Returns why the last version could not be made, without a traceback and with the script's path.
 * The text lives until the next call into the script. */
const char *version_error(struct script *script);

#endif
