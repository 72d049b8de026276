/* owned.h: lists of what belongs to a task, such as a stream, and ends with it.
 *
 * An entry is a member of the struct that it belongs to (intrusive), so that no function fails. The
 * head of a list is a pointer that must not move. */
#ifndef SCRIPT_OWNED_H
#define SCRIPT_OWNED_H

#include <stdbool.h>

struct owned {
  struct owned *next;
  struct owned **link; /* The pointer to this entry in its list; NULL: it is in no list. */

  /* The task has ended, and the entry is out of its list. May not enter Lua. */
  void (*end)(struct owned *owned, bool is_cancelled);
};

/* Adds an entry that is in no list. */
void owned_give(struct owned *owned, struct owned **list);

/* Removes an entry from its list. Does nothing if it is in none. */
void owned_take(struct owned *owned);

/* Ends all that is in the list. */
void owned_end_all(struct owned **list, bool is_cancelled);

#endif
