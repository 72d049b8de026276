/* script.h: one protocol script and the Lua state that it lives in.
 *
 * A script is a service of its own: it shares no state and no memory with another script. The owner
 * of the sessions brings the bytes; a script only gives the handler that new sessions get.
 *
 * script_state.c implements most of this interface; collector.c implements the rest. */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"
#include "base/span.h"
#include "base/status.h"
#include "base/world.h"
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

struct lua_State;
struct script_options;

/* Opens modules in a new state, in the name of a service. May raise. */
typedef void script_opener(struct lua_State *state, const struct script_options *options,
                           const char *service);

struct script_options {
  const char *path;
  script_opener *open_modules; /* modules_open() of modules/modules.h, or NULL */
  const char *modules;         /* the folder of the modules that come with the server, or NULL */
  size_t memory_limit;         /* bytes; 0: none */
  int64_t call_timeout;        /* ms; 0: none */
  int64_t max_request;         /* bytes; the times are in ms */
  int64_t max_unsent;          /* bytes */
  int64_t request_timeout;
  int64_t idle_timeout;
  int64_t write_timeout;
  int64_t response_timeout;
  int64_t max_tasks;
  const struct script_setting *settings; /* of two with one name the later one counts */
  size_t setting_count;
  const struct script_clock *clock; /* NULL: the system's. Else the script is being simulated: it is
                                     * given this time, and that it prints is logged */
  uint32_t string_seed;             /* For the order of tables: see string_seed.h; 0: random */
  uint32_t chance;                  /* A simulated script's math.random() is seeded with it */
  struct script_sandbox *sandbox;   /* NULL: a simulated script may do what it likes */
  struct world *world; /* The loop that runs it, which outlives the script. NULL: the script runs
                        * only when a session calls it. */
};

struct channel;
struct script;

/* Makes the state, without running the script: reload/reload.h loads it. The options' texts must
 * outlive the script. */
enum status script_create(const struct script_options *options, struct script **created);

/* Collects garbage for about half a millisecond, if the script was called since the end of the last
 * collection. IDLE_WORK_USEFUL: much memory was freed. Not to be called from within a call of a
 * session. */
enum idle_work script_collect_garbage(struct script *script);

/* One number for the contents of all files that the version that serves was made from when it was
 * loaded: the same in each process that loads the same. */
uint64_t script_fingerprint(const struct script *script);

/* What sessions are to be created with now. It lives as long as it is the newest, or has
 * sessions or tasks. */
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

/* Between begin and end, which are those of a play, Lua's collector rests, as long as less than 64
 * MiB are used, so that no finalizer of a simulated script runs. At the end those run that are due.
 */
void script_begin_rest(struct script *script);
void script_end_rest(struct script *script);

/* How many tasks run that requests have spawned. */
size_t script_count_left_tasks(const struct script *script);

/* How many detached streams are open. `*address` is that of the last one as the script has written
 * it, and lives as long as this stream; NULL: there is none. */
size_t script_count_left_streams(const struct script *script, const char **address);

/* How many bytes the open stream with this channel holds that the script has not read; 0 if no
 * stream has it. The channel may be over: it is only compared. */
size_t script_unread(const struct script *script, const struct channel *channel);

/* Closes the connections to other servers that are kept for later use. */
void script_drop_kept(struct script *script);

/* The bytes that its Lua state takes; after a full collection if `collects`. */
size_t script_memory(struct script *script, bool collects);

/* Cancels and ends all tasks that run beside the requests. From then on none can be made. */
void script_end_tasks(struct script *script);

/* All its sessions must have been destroyed. Ends its tasks. */
void script_destroy(struct script *script);

#endif
