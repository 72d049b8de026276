/* dialogue.h: the conversations with a script on stage. Private to the stage room. */
#ifndef STAGE_DIALOGUE_H
#define STAGE_DIALOGUE_H

#include <lua.h>
#include <stdint.h>

#include "script/script.h"
#include "stage/temp.h"

struct dialogue;

/* A script as Lua has it: a userdata whose user values keep its options' texts. */
struct stage {
  struct script *script; /* NULL once it is closed */
  struct script_clock clock;
  double began;               /* what clock.real was when it was loaded */
  int64_t now;                /* ms since it was loaded, what its sessions go by */
  struct dialogue *dialogues; /* those that live */
  struct script_sandbox sandbox;
  bool is_free;                /* it is not in the sandbox, which still knows its folder */
  struct temp_contents loaded; /* what was in that when it had been loaded */
};

/* script:open(options), with the script, which was checked, at index 1. */
int dialogue_open(lua_State *L, struct stage *stage);

/* Lets the limits of time run out that end at stage->now or before. */
void dialogue_expire_all(struct stage *stage);

/* When the next of them ends; CLOCK_NEVER: none does. */
int64_t dialogue_next_deadline(const struct stage *stage);

/* Those that are between two requests get the newest version of the script. */
void dialogue_move_all(struct stage *stage);

/* Ends them all, so that the script can be closed. */
void dialogue_close_all(struct stage *stage);

/* Adds the class to the registry. */
void dialogue_register(lua_State *L);

#endif
