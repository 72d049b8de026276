/* held.h: the strings that responses send from where they are, by their address.
 *
 * A string that only one response holds is kept in memory for it alone, and counts as buffered. One
 * that several hold is the script's own, since no two responses make the same string, and counts
 * once at most. */
#ifndef SESSION_HELD_H
#define SESSION_HELD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { HELD_BUCKETS = 1024 };

struct held {
  struct held *next;
  const char *data;
  size_t users;
};

/* All zeros at first; empty again when all sessions are gone. */
struct held_strings {
  struct held *buckets[HELD_BUCKETS];
};

/* One more holds the string; *is_first: it is the only one. */
enum status held_add(struct held_strings *strings, const char *data, struct held **added,
                     bool *is_first);

/* One fewer does. */
void held_remove(struct held_strings *strings, struct held *held);

#endif
