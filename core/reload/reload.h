/* reload.h: the versions of a script: the first one, and those that take over while it serves.
 *
 * That files have changed is for others to notice; here they are read, compiled, run and validated,
 * and a new version takes over from the old one in one step, or not at all. */
#ifndef RELOAD_RELOAD_H
#define RELOAD_RELOAD_H

#include "base/outcome.h"
#include "script/script.h"

/* Compiles, runs and validates the script. False: *error tells file, line and reason; it lives
 * until the script is next called. */
bool reload_load_first(struct script *script, const char **error);

/* Looks whether the files have changed and makes a new version of them, which takes over in one
 * step or not at all. Forced: also if they have not changed, and without patience. Conversations
 * move to it by themselves, at their next request. `now` is in ms; not to be called from within a
 * call of a session. */
enum reload_outcome reload_try(struct script *script, bool is_forced, int64_t now);

/* From now on a new version is compiled on a thread: then reload_try() and reload_try_checked()
 * answer RELOAD_COMPILING. `wake` is called when the thread has finished, and when the bytecode of
 * a file was loaded. It must do no more than tell the owner to call the same function again. This
 * function gives up a version that is being compiled when it is called. NULL: there is no thread
 * any more, and nothing calls `wake`. */
void reload_set_wake(struct script *script, void (*wake)(void *context), void *context);

/* ---- versions that are checked before they take over ---------------------------------------- */

/* What a check has found, which was made elsewhere. */
enum reload_finding_kind {
  FINDING_GOOD,       /* it was loaded, and nothing speaks against it */
  FINDING_BAD,        /* it was loaded, and the report says what speaks against it */
  FINDING_UNLOADABLE, /* it could not be loaded; the report says why */
  FINDING_UNKNOWN     /* the check came to nothing; the report says why */
};

struct reload_finding {
  enum reload_finding_kind kind;
  uint64_t fingerprint; /* of what was loaded; see script_fingerprint() */
  const char *report;   /* NULL if it is good */
  bool allows_effects;  /* a version may be run that is not good */
};

/* Looks whether there is something to be checked. What is checked depends on the transcripts, too:
 * when they change, what they have caused to be refused is looked at again. RELOAD_UNCHECKED: a
 * check is to begin now, and what it finds to be given to reload_try_checked(); RELOAD_CHECKING:
 * the one that has begun goes on; RELOAD_UNCHANGED, RELOAD_LATER: if one has begun, it is of no use
 * any more. */
enum reload_outcome reload_find_changes(struct script *script, bool is_forced,
                                        const char *const *transcripts, size_t transcript_count,
                                        int64_t now);

/* Like reload_try(), once the check has ended: only the very version that was checked, and found
 * good, takes over. RELOAD_LATER is also when the files are no more what was checked. */
enum reload_outcome reload_try_checked(struct script *script, bool is_forced,
                                       const struct reload_finding *finding, int64_t now);

/* --------------------------------------------------------------------------------------------- */

/* The files that the version that serves was made from or looked for, and those of a version that
 * was refused: they should be watched. A script may come to have more while it runs. */
size_t reload_count_files(const struct script *script);
void reload_each_file(const struct script *script, void (*visit)(void *context, const char *path),
                      void *context);

#endif
