/* life.h: the inside of a script, shared by its making (script.c) and its renewal (reload.c).
 * Private to the script room. */
#ifndef SCRIPT_LIFE_H
#define SCRIPT_LIFE_H

#include "script/gate.h"
#include "script/generation.h"
#include "script/memory.h"
#include "script/script.h"

enum { NAME_MAX_LENGTH = 64 };

struct script {
  struct script_options options;
  struct memory memory;
  struct gate gate;
  struct generation *generation; /* the one that serves, or NULL */
  struct generation *older;      /* those that some conversations still have */
  struct sources failed; /* what the last version that was refused was made from; or empty */
  int64_t lacking_since; /* when a file was first found missing; 0: none is */
  struct script_asked asked;
  bool is_troubled; /* a version could not be read, and that was logged */
  char name[NAME_MAX_LENGTH];
};

/* Makes a generation from the files as they are now; NULL if it is no good: then script->gate.error
 * has the reason, and *sources, which is the caller's to free, what was read. */
struct generation *script_make(struct script *script, struct sources *sources);

/* Frees a generation that no conversation has. */
void script_free_generation(struct script *script, struct generation *generation);

#endif
