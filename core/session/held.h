/* held.h: the strings that responses send from where they are, by their address.
 *
 * Such a string counts as buffered, and once, however many responses hold it: one of them pays for
 * it. When that one is done with it, nobody pays, until another claims it. */
#ifndef SESSION_HELD_H
#define SESSION_HELD_H

#include <stddef.h>

#include "base/span.h"
#include "base/status.h"

enum { HELD_BUCKETS = 1024 };

struct held {
  struct held *next;
  const char *data;
  size_t users;
  size_t unpaid; /* its length while nobody pays for it; else 0 */
};

/* All zeros at first, but for `sum`; empty again when all sessions are gone. */
struct held_strings {
  struct held *buckets[HELD_BUCKETS];
  size_t unpaid; /* bytes that nobody pays for; */
  size_t *sum;   /* they are added to this, too, unless it is NULL */
};

/* One more holds the string of that length. *charge: what it pays, all or nothing. */
enum status held_add(struct held_strings *strings, struct span string, struct held **added,
                     size_t *charge);

/* One fewer does, who has paid `charge`. */
void held_remove(struct held_strings *strings, struct held *held, size_t charge);

/* One of those who hold it pays from now on, if nobody does: then all of it is returned, else 0. */
size_t held_claim(struct held_strings *strings, struct held *held);

#endif
