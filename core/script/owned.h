/* owned.h: what belongs to a task, such as a stream, and ends with it.
 *
 * An entry is a member of the struct that it belongs to (intrusive), so that no function fails. */
#ifndef SCRIPT_OWNED_H
#define SCRIPT_OWNED_H

#include <stdbool.h>

struct task;

struct owned {
  struct owned *next;
  struct owned *previous;
  struct task *task; /* NULL: it belongs to no task. */

  /* The task has ended, and the entry is out of its list. May not enter Lua. */
  void (*end)(struct owned *owned, bool is_cancelled);
};

/* Gives an entry that belongs to no task to this one. */
void owned_give(struct owned *owned, struct task *task);

/* Takes it out of its task's list. Does nothing if it belongs to no task. */
void owned_take(struct owned *owned);

/* Ends all that belongs to the task. */
void owned_end_all(struct task *task, bool is_cancelled);

#endif
