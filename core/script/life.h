/* life.h: the inside of a script, shared by its making (script.c) and its renewal (reload.c).
 * Private to the script room. */
#ifndef SCRIPT_LIFE_H
#define SCRIPT_LIFE_H

#include "reload/ahead.h"
#include "script/collector.h"
#include "script/gate.h"
#include "script/generation.h"
#include "script/memory.h"
#include "script/script.h"
#include "script/tasks.h"

enum { NAME_MAX_LENGTH = 64 };

struct script {
  struct script_options options;
  struct memory memory;
  struct gate gate;
  struct generation *generation; /* the one that serves, or NULL */
  struct generation *older;      /* those that some conversations still have */
  struct sources failed;   /* what the last version that was refused was made from; or empty */
  struct sources checked;  /* what a check that is under way is about; or empty */
  size_t transcripts;      /* so many belonged to the script then */
  int64_t checked_since;   /* when it was asked for, in ms */
  uint64_t stranger;       /* the fingerprint of the last version that was not what was checked */
  unsigned strangers;      /* so many there were in a row with this fingerprint */
  int64_t strangers_since; /* when the first of a row was met, with whatever fingerprint; 0: none */
  int64_t lacking_since;   /* when a file was first found missing; 0: none is */
  struct generation *running; /* the one that a call into Lua is for; NULL: none, or the newest */
  struct tasks tasks;
  struct collector collector;
  void (*alarm)(void *context, int64_t when); /* is told when a task is due; or NULL */
  void *alarm_context;
  bool (*pause)(void *context); /* lets others go on while a version is being made; or NULL */
  void *pause_context;
  double piece_since; /* when others last went on, in seconds of clock_seconds(), */
  double longest;     /* and for how long they waited at most, while a version was being made */
  size_t used_before; /* bytes of Lua's then, */
  size_t made;        /* and how many of them belong to the version that is being made */
  struct script_asked asked;
  bool is_troubled; /* a version could not be read, and that was logged */
  char name[NAME_MAX_LENGTH];
};

/* Makes a generation from the files as they are now, or, as far as they have been read already, as
 * they stand in `ahead`; NULL if it is no good: then script->gate.error has the reason, and
 * *sources, which is the caller's to free, what was read. */
struct generation *script_make(struct script *script, struct ahead *ahead, struct sources *sources);

/* Frees a generation that no conversation has. */
void script_free_generation(struct script *script, struct generation *generation);

#endif
