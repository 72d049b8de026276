/* spelling.h: finds the known name that is most like a given one, for "did you mean" messages. */
#ifndef BASE_SPELLING_H
#define BASE_SPELLING_H

#include <stdbool.h>
#include <stddef.h>

/* Longer names are never compared. */
enum { SPELLING_LETTERS_MAX = 24 };

/* A name without "_" and "-", in lower case. */
struct spelling {
  unsigned length;
  char letters[SPELLING_LETTERS_MAX];
};

/* False: the name has more than SPELLING_LETTERS_MAX letters. */
bool spelling_normalize(const char *name, struct spelling *spelling);

/* Returns the optimal string alignment distance: how many letters must be inserted, deleted,
 * replaced, or swapped with the next one to turn `b` into `a`. */
unsigned spelling_distance(const struct spelling *a, const struct spelling *b);

/* Returns the name in names[0..count) that is nearest to `name`, the first of equally near ones;
 * NULL: none is near. */
const char *spelling_nearest(const char *name, const char *const *names, size_t count);

/* Returns the distance of the two names if they are near, else SPELLING_FAR. */
enum { SPELLING_FAR = SPELLING_LETTERS_MAX + 1 };
unsigned spelling_compare(const char *name, const char *known);

#endif
