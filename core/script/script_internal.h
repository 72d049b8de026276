/* script_internal.h: the inside of a script. For script/; for reload/, which makes its generations;
 * and for modules/, which enters its gate. */
#ifndef SCRIPT_SCRIPT_INTERNAL_H
#define SCRIPT_SCRIPT_INTERNAL_H

#include <stddef.h>

#include "base/log.h"
#include "base/world.h"
#include "script/gate.h"
#include "script/generation.h"
#include "script/kept.h"
#include "script/memory.h"
#include "script/script.h"
#include "script/subscriptions.h"
#include "session/session_list.h"

struct reload;

enum { NAME_MAX_LENGTH = 64 };

/* The tasks of a script that run beside: see task_handle.h. */
struct tasks {
  size_t count;              /* How many tasks have not ended. */
  uint64_t ended;            /* How many tasks have ended. */
  bool are_refused;          /* No task can be made: during save and restore, and at the end. */
  struct log_limit failures; /* Limits the lines about tasks that fail. */
};

/* The programs of a script: see subprocess.h. */
struct subprocesses {
  struct subprocess *first;
  struct log_limit lines; /* Limits the lines that they write to the log. */
};

/* The state of collector.c, which collects Lua's garbage in small steps while no request waits. */
struct collector {
  bool is_dirty;     /* The script was called after the last collection began. */
  unsigned cycles;   /* Cycles of Lua's collector left in this collection; 0: none is running. */
  size_t steps_left; /* The collection is given up when no step is left. */
  size_t used;       /* Bytes in use when the collection began. */
  size_t kept;       /* Bytes in use when memory was last returned to the system. */
};

struct script {
  struct script_options options;
  struct memory memory;
  struct gate gate;
  struct generation *generation; /* The generation that serves; NULL before the script is loaded. */
  struct generation *older;      /* Those before it that still have sessions or tasks. */
  struct generation *running;    /* The generation that Lua runs for; NULL: none, or the newest. */
  struct tasks tasks;
  struct session_list sessions;
  struct subscriptions subscriptions; /* To the topics of topic.c. */
  struct collector collector;
  size_t collected;            /* Bytes in use after the last collection of script_end_rest(). */
  struct world *world;         /* The loop's; `own_world` if there is none. */
  struct world own_world;      /* Nobody runs it. */
  struct stream *streams;      /* All of them: see stream.h. */
  int stream_metatable;        /* A reference in the registry. */
  struct datagrams *datagrams; /* All of them: see datagrams.h. */
  struct subprocesses subprocesses;
  struct kept_list kept;  /* Channels that streams have given back. */
  int spare_client;       /* See client_forget(); 0: there is none. */
  bool has_warned_of_tls; /* That it does not verify certificates. */
  bool has_taps;          /* A session of it has, or had, a tap: see stream_tap.h. */
  struct script_asked asked;
  struct reload *reload; /* The state of reload/reload.c, owned by Lua; NULL before loading. */
  char name[NAME_MAX_LENGTH];
};

/* Lets Lua's collector rest for a short piece of work that everybody waits for. It goes on by
 * itself after a fixed number of bytes, so that no code of the script can make garbage without a
 * bound. */
void script_rest_collector(struct script *script);

/* The time of the script, in ms: the world's, or that of its simulation. */
int64_t script_now(const struct script *script);

/* The script of a state. */
static inline struct script *script_of_state(lua_State *state) {
  return (struct script *)((char *)gate_of(state) - offsetof(struct script, gate));
}

/* The version whose code runs. NULL: a finalizer, while the state is closed. */
static inline const struct generation *script_running(const struct script *script) {
  return script->running ? script->running : script->generation;
}

/* Frees a generation that has no sessions. Its tasks, if it has some, have not begun. */
void script_free_generation(struct script *script, struct generation *generation);

#endif
