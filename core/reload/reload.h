/* reload.h: the versions of a script: the first one, and those that take over while it serves.
 *
 * The owner of a script notices that files have changed, and calls the functions of this header.
 * They read, compile, run and validate the files. A new version takes over from the old one in one
 * step, or not at all. Sessions move to it by themselves: see session/handler.h.
 *
 * No function may be called from within a call of a session. Times are in ms. */
#ifndef RELOAD_RELOAD_H
#define RELOAD_RELOAD_H

#include "base/outcome.h"
#include "script/script.h"

/* Compiles, runs and validates the first version. False: *error tells file, line and reason. It
 * lives until the script is next called. */
bool reload_load_first(struct script *script, const char **error);

/* From now on a thread compiles new versions, and reload_try() and reload_try_checked() return
 * RELOAD_COMPILING. `wake` is called on the thread when it has finished. It is also called by these
 * two functions themselves, when they have loaded the bytecode of one file. `wake` must only cause
 * the owner to call the same function again later. A version that is being compiled now is given
 * up. `wake` NULL: no thread compiles any more, and nothing calls `wake`. */
void reload_set_wake(struct script *script, void (*wake)(void *context), void *context);

/* Makes a new version if the files have changed. RELOAD_DONE: script_handler() has changed.
 * `is_forced`: makes it also from unchanged files, and does not wait for a file that is missing. */
enum reload_outcome reload_try(struct script *script, bool is_forced, int64_t now);

/* ---- versions that are checked before they take over ---------------------------------------- */

enum reload_finding_kind {
  FINDING_GOOD,       /* The version was loaded, and the check has passed. */
  FINDING_BAD,        /* The version was loaded, and the check has failed. */
  FINDING_NO_VERSION, /* No version was loaded, or its files changed during the check. */
  FINDING_UNKNOWN     /* The check did not finish. */
};

/* What the check of a version has found. The check is made by another process. */
struct reload_finding {
  enum reload_finding_kind kind;
  uint64_t fingerprint; /* See script_fingerprint(); only if the version was loaded. */
  const char *report;   /* Why the kind is not FINDING_GOOD. NULL if it is, and NULL is possible for
                         * FINDING_NO_VERSION. */
  bool allows_effects;  /* A version may be run here even if the kind is not FINDING_GOOD. */
};

/* Tells whether there are changes to check. RELOAD_UNCHECKED: a check must begin now, and its
 * finding must be given to reload_try_checked(). RELOAD_CHECKING: the check that has begun is still
 * of use. After any other outcome it is not. Transcripts count like files of the script: when they
 * change, a version that was refused is checked again. */
enum reload_outcome reload_find_changes(struct script *script, bool is_forced,
                                        const char *const *transcripts, size_t transcript_count,
                                        int64_t now);

/* Like reload_try(), when a check has ended. Only the version that was checked and found good takes
 * over. RELOAD_LATER: also if the files are not the ones that were checked. */
enum reload_outcome reload_try_checked(struct script *script, bool is_forced,
                                       const struct reload_finding *finding, int64_t now);

/* ---- the files that should be watched ------------------------------------------------------- */

/* These are the files that the serving version was made from or looked for, and those of the
 * version that was refused last. A script can require further files while it runs. */
size_t reload_count_files(const struct script *script);
void reload_each_file(const struct script *script, void (*visit)(void *context, const char *path),
                      void *context);

#endif
