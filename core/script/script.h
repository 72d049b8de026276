/* script.h: one protocol script and the Lua state that it lives in.
 *
 * A script is a service of its own: nothing that it does, and no memory that it takes, is shared
 * with another. Where the bytes come from is left to whoever owns the sessions; a script only hands
 * out the handler that they are to have. */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/status.h"
#include "session/handler.h"

/* A limit that was not given is LIMIT_NOT_GIVEN: then the script's own counts, else the default. */
enum { LIMIT_NOT_GIVEN = -1 };

/* The time that a script is told where it does not live in ours: parlance.now(),
 * parlance.time(), os.time() and os.date(), in seconds. */
struct script_clock {
  double monotonic;
  double real; /* since 1970 */
};

/* What whoever starts a script tells it: parlance.settings. */
struct script_setting {
  struct span name;
  struct span value;
};

/* Whether a setting can have this name, and a text that says which it can. */
bool script_setting_is_name(struct span name);
extern const char script_setting_names[];

/* What a simulated script may do to the machine: change files in one folder. */
struct script_sandbox {
  const char *folder; /* as realpath() gives it; NULL: none */
  bool is_used;       /* there may be something in it */
  int names;          /* how many os.tmpname() has made */
};

struct script_options {
  const char *path;
  const char *modules;  /* the folder of the modules that come with the server, or NULL */
  size_t memory_limit;  /* bytes; 0: none */
  int64_t call_timeout; /* ms; 0: none */
  int64_t max_request;  /* bytes; the times are in ms */
  int64_t request_timeout;
  int64_t idle_timeout;
  int64_t write_timeout;
  const struct script_setting *settings; /* of two with one name the later one counts */
  size_t setting_count;
  const struct script_clock *clock; /* NULL: the system's. Else the script is being simulated: it is
                                     * given this time, and that it prints is logged */
  struct script_sandbox *sandbox;   /* NULL: a simulated script may do what it likes */
};

struct script;

/* Makes the state, without running the script. The options' texts must outlive the script. */
enum status script_create(const struct script_options *options, struct script **created);

/* Compiles, runs and validates the script. False: *error tells file, line and reason; it lives
 * until the script is next called. */
bool script_load(struct script *script, const char **error);

/* What came of a look at the files. */
enum script_reload {
  SCRIPT_UNCHANGED, /* they are what serves, or what was refused before */
  SCRIPT_RELOADED,  /* there is a new version: script_handler() has changed */
  SCRIPT_REFUSED,   /* they are no good: the log says why, and the version that serves goes on */
  SCRIPT_LACKING,   /* they are no good, but a file has only just gone: look again soon */
  SCRIPT_UNCHECKED, /* only of script_look(): they are to be checked, */
  SCRIPT_CHECKING   /* and so they were when it was last called */
};

/* Looks whether the files have changed and makes a new version of them, which takes over in one
 * step or not at all. Forced: also if they have not changed, and without patience. Conversations
 * move to it by themselves, at their next request. `now` is in ms; not to be called from within a
 * call of a session. */
enum script_reload script_reload(struct script *script, bool is_forced, int64_t now);

/* From now on `pause` is called now and then while script_reload() or script_judge() make a new
 * version, which takes long: for others to go on in; false: they did not. It may call sessions of
 * the script, which are the old version's, but not these functions, nor script_destroy(). From
 * where the new version begins to run to where it takes over it is not called. NULL: it is not
 * called any more. */
void script_set_pause(struct script *script, bool (*pause)(void *context), void *context);

/* When script_run_due() should be called next, in ms; CLOCK_NEVER: no function is to be run. */
int64_t script_next_due(const struct script *script);

/* Runs the functions of parlance.every() that are due. If that takes long, some of them are left,
 * and are due still. Not to be called from within a call of a session. */
void script_run_due(struct script *script, int64_t now);

/* From now on `alarm` is called whenever there is another answer to script_next_due() than the one
 * that it was called with last; now, too, if that is a time. It is called from within Lua, and
 * calls nothing here. */
void script_set_alarm(struct script *script, void (*alarm)(void *context, int64_t when),
                      void *context);

/* The result of a step of the collection. */
enum script_collection {
  SCRIPT_COLLECTING,      /* There is more to do. */
  SCRIPT_COLLECTED_MUCH,  /* All is done, and much memory was freed. */
  SCRIPT_COLLECTED_LITTLE /* All is done, and little memory was freed. */
};

/* Collects garbage for about half a millisecond, if the script was called since the end of the last
 * collection. Not to be called from within a call of a session. */
enum script_collection script_collect_garbage(struct script *script);

/* ---- versions that are checked before they take over ---------------------------------------- */

/* What a check has found, which was made elsewhere. */
enum script_finding {
  SCRIPT_GOOD,       /* it was loaded, and nothing speaks against it */
  SCRIPT_BAD,        /* it was loaded, and the report says what speaks against it */
  SCRIPT_UNLOADABLE, /* it could not be loaded; the report says why */
  SCRIPT_UNKNOWN     /* the check came to nothing; the report says why */
};

struct script_verdict {
  enum script_finding finding;
  uint64_t fingerprint; /* of what was loaded; see script_fingerprint() */
  const char *report;   /* NULL if it is good */
  bool allows_effects;  /* a version may be run that is not good */
};

/* Looks whether there is something to be checked. What is checked depends on the transcripts, too:
 * when they change, what they have caused to be refused is looked at again. SCRIPT_UNCHECKED: a
 * check is to begin now, and what it finds to be given to script_judge(); SCRIPT_CHECKING: the one
 * that has begun goes on; SCRIPT_UNCHANGED, SCRIPT_LACKING: if one has begun, it is of no use any
 * more. */
enum script_reload script_look(struct script *script, bool is_forced,
                               const char *const *transcripts, size_t transcript_count,
                               int64_t now);

/* Like script_reload(), once the check has ended: only the very version that was checked, and found
 * good, takes over. SCRIPT_LACKING is also when the files are no more what was checked. */
enum script_reload script_judge(struct script *script, bool is_forced,
                                const struct script_verdict *verdict, int64_t now);

/* One number for the contents of all files that the version that serves was made from when it was
 * loaded: the same in each process that loads the same. */
uint64_t script_fingerprint(const struct script *script);

/* --------------------------------------------------------------------------------------------- */

/* The files that the version that serves was made from or looked for, and those of a version that
 * was refused: they should be watched. A script may come to have more while it runs. */
size_t script_count_files(const struct script *script);
void script_each_file(const struct script *script, void (*visit)(void *context, const char *path),
                      void *context);

/* What sessions are to be created with now. It lives as long as it is the newest or has sessions.
 */
struct handler *script_handler(struct script *script);

/* The protocol's name: its file's, without folder and ending. */
const char *script_name(const struct script *script);

/* What the script says of itself, "" where it does not: its `listen`, and its `example`: bytes that
 * a client may send. They live as long as the script. */
const char *script_listen(const struct script *script);
struct span script_example(const struct script *script);

/* Calls `visit` for each setting that the script documents, in alphabetical order, with the line
 * that says what it is and what was given, or NULL. False: there was not enough memory. */
typedef void (*script_setting_visit)(void *context, const char *name, const char *about,
                                     const struct span *value);
bool script_each_setting(struct script *script, script_setting_visit visit, void *context);

/* How often request_complete was called where it is written in Lua, and how many bytes it was shown
 * in all. */
struct script_asked {
  uint64_t calls;
  uint64_t bytes;
};
struct script_asked script_asked(const struct script *script);

/* The bytes that its Lua state takes; after a full collection if `collects`. */
size_t script_memory(struct script *script, bool collects);

/* Another play begins of a script that is simulated: math.random() gives the same again. */
void script_begin_play(struct script *script);

/* All its sessions must have been destroyed. */
void script_destroy(struct script *script);

#endif
