/* precompile.h: a thread reads and compiles the files of a script before a new version is made from
 * them.
 *
 * Reading and compiling take most of the time that a new version costs. The thread has Lua states
 * of its own: the text of a file goes in, and bytecode comes out. The script's own state loads
 * bytecode in an eighth of the time that the text would take. The server serves meanwhile.
 *
 * The thread reads the files that the last version asked for while it was loaded, because the next
 * version needs mostly the same files. A new version runs what the thread has read, and its sources
 * note that. If the new version does not ask for a file, the file does not count, whatever is wrong
 * with it. */
#ifndef RELOAD_PRECOMPILE_H
#define RELOAD_PRECOMPILE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "reload/sources.h"
#include "script/gate.h"

/* Compiles the text of a file and pushes the function, or an error message if the result is not
 * LUA_OK. `name` and `mode` are as for lua_load(). Does not raise. Lua's collector is stopped
 * meanwhile, because the length of the text limits what the compiler allocates. Under a memory
 * limit Lua still collects when an allocation fails. */
int precompile_text(lua_State *state, const char *name, const char *bytes, size_t length,
                    const char *mode);

struct precompile;

struct precompile_plan {
  const struct sources *serving; /* The files of the version that serves. */
  const struct sources *refused; /* The files of the version that was refused last; may be empty. */
  size_t memory_limit;           /* Bytes for the thread's Lua state and bytecode; 0: no limit. */
  bool is_forced;                /* Compile also when no file has changed. */

  /* The thread calls this when it has finished. It must call no function of this header. NULL: no
   * thread is started, and precompile_start() does the work itself. */
  void (*wake)(void *context);
  void *context;
};

/* Starts the thread. The plan need not outlive the call. NULL: there is not enough memory. If no
 * thread can be started, this function does the work and calls wake() before it returns. */
struct precompile *precompile_start(const struct precompile_plan *plan);

/* Tells whether the thread has finished. */
bool precompile_has_finished(struct precompile *precompile);

struct precompile_result {
  bool is_refused;      /* The files are those that were refused. Then `files` was not refreshed. */
  size_t changed;       /* How many files have changed; each is marked. */
  struct sources files; /* The files as they were read. None has content if one is missing. */
};

/* To be called when the thread has finished. The result lives as long as `precompile`. */
const struct precompile_result *precompile_result(const struct precompile *precompile);

/* Loads the bytecode of the next file into the state of a gate, for precompile_take(). One file at
 * a time is loaded so that the loop can make a turn between two files. To be called when the thread
 * has finished. False: there is no further file, or no memory for it. precompile_take() loads what
 * was not loaded. */
bool precompile_load(struct gate *gate, struct precompile *precompile);

/* Forgets the functions that were loaded and not taken. Does not raise. */
void precompile_forget(lua_State *state);

/* Notes the file in `sources`, and pushes the function, or the error message, that
 * sources->as_read has for this path. False: it has none. May raise. */
bool precompile_take(lua_State *state, struct sources *sources, const char *path, const char *mode);

/* Frees the result. A thread that has not finished is not waited for, because it may hang on a slow
 * disk: it does not call wake() any more, and frees everything when it ends. But this waits while
 * the thread is in wake(), which may take many ms on a busy machine. NULL is ignored. */
void precompile_destroy(struct precompile *precompile);

#endif
