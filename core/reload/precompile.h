/* precompile.h: the files of a script are read and compiled on a thread of their own before a new
 * version is made from them.
 *
 * Reading and compiling take most of the time that a new version costs. The thread has a Lua state
 * of its own: the text of a file goes in, and bytecode comes out, which the script's own state
 * loads in an eighth of the time. The server goes on meanwhile.
 *
 * What the thread has read is what runs, and what is noted in the sources of the version. The
 * thread reads the files that the last version asked for while it was loaded, because the next
 * version needs mostly the same files. A file that the new version does not ask for does not count,
 * whatever is wrong with it. */
#ifndef RELOAD_PRECOMPILE_H
#define RELOAD_PRECOMPILE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "reload/sources.h"
#include "script/gate.h"

/* Compiles the text of a file and pushes the function, or an error message when the result is not
 * LUA_OK. `name` and `mode` are as for lua_load(). Does not raise. Lua's collector waits meanwhile,
 * because the text bounds what the compiler takes; under a memory limit Lua still collects. */
int precompile_text(lua_State *state, const char *name, const char *bytes, size_t length,
                    const char *mode);

struct precompile;

struct precompile_plan {
  const struct sources *serving; /* The files of the version that serves. */
  const struct sources *refused; /* The files of the version that was refused last; may be empty. */
  size_t memory_limit;           /* Bytes for the thread's Lua state and bytecode; 0: no limit. */
  bool is_forced;                /* Compile also when no file has changed. */

  /* Called on the thread when it has finished; must not call back. NULL: there is no thread, and
   * precompile_start() does the work itself. */
  void (*wake)(void *context);
  void *context;
};

/* Begins. Copies what it needs of the plan. NULL: there is not enough memory. Where no thread can
 * be started, the work is done, and wake() called, before this returns. */
struct precompile *precompile_start(const struct precompile_plan *plan);

bool precompile_has_finished(struct precompile *precompile);

struct precompile_result {
  bool is_refused; /* The files are the ones that were refused last. Nothing else was looked at. */
  size_t changed;  /* How many files have changed; each is marked. */
  struct sources files; /* The files as they were read. Without content where one had gone. */
};

/* To be called after the end. The result lives as long as `precompile`. */
const struct precompile_result *precompile_result(const struct precompile *precompile);

/* Loads the bytecode of the next file into the state of a gate, for precompile_take(), so that the
 * loop can go on between two files. `*next` is 0 at first. False: there is no further file, or no
 * memory for it; precompile_take() loads what is missing. */
bool precompile_load(struct gate *gate, const struct precompile_result *result, size_t *next);

/* Forgets what was loaded and not taken. Does not raise. */
void precompile_forget(lua_State *state);

/* For a state that makes a version: notes the file in `sources`, and pushes the function or the
 * error message that stands in sources->as_read for this path. False: there is nothing. May raise.
 */
bool precompile_take(lua_State *state, struct sources *sources, const char *path, const char *mode);

/* Frees. A thread that is still at work, or that hangs on a slow disk, is not waited for: it frees
 * when it comes to its end, and does not call wake() any more. NULL is ignored. */
void precompile_destroy(struct precompile *precompile);

#endif
