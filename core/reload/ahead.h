/* ahead.h: files that are compiled before the version that is made from them runs.
 *
 * Reading and compiling take most of the time that a new version costs, and nobody notices any of
 * it before the version runs. So the files that the last version was made from, which are mostly
 * those of the next one, are read at once and then compiled in pieces, and all others go on in
 * between. What was read ahead is what runs, and what is noted; a file that is not asked for does
 * not count, be it good or not. What the last version has required only since it serves is left
 * out: it may be much more than a version needs to run, and would take memory from those who are
 * served meanwhile. */
#ifndef RELOAD_AHEAD_H
#define RELOAD_AHEAD_H

#include <lua.h>

#include "reload/sources.h"
#include "script/gate.h"

/* So many bytes are compiled without a pause: a tenth of a millisecond, or two. */
enum { AHEAD_PIECE = 2048 };

struct ahead {
  struct sources files;         /* as they are now, and what is in them */
  int functions;                /* a reference: a list, by the number of the file */
  void (*pause)(void *context); /* called between two pieces; it may enter Lua, but not make or
                                 * free any version; NULL: there are none */
  void *context;
};

/* Pushes the function that the text of a file is compiled to, or why it cannot be: then the answer
 * is not LUA_OK. `name` and `mode` as for lua_load(). Does not raise. Lua's collector waits
 * meanwhile, as everybody does: what the compiler takes is bounded by the text, and a memory limit
 * still makes Lua collect. */
int ahead_compile(lua_State *state, const char *name, const char *bytes, size_t length,
                  const char *mode, const struct ahead *ahead);

/* No files, and no pause. */
void ahead_init(struct ahead *ahead);

/* Compiles the files, the script's at `path` among them. If there is no memory for all of them none
 * is kept, since those that are needed may fit: each is read and compiled when it is asked for. To
 * be called outside the gate. */
void ahead_prepare(struct gate *gate, struct ahead *ahead, const char *path);

/* While a version is being made, the file is noted in its sources, and what it was compiled to, or
 * an error message, is pushed. False: it has not been compiled ahead, or was asked for before. May
 * raise. */
bool ahead_take(lua_State *state, struct sources *sources, const char *path);

/* Cannot raise. */
void ahead_deinit(struct gate *gate, struct ahead *ahead);

#endif
