/* spelling.h: finds the known name that is most like a given one, for "did you mean" messages. */
#ifndef BASE_SPELLING_H
#define BASE_SPELLING_H

#include <stddef.h>

/* Longer names are never compared. "_" and "-" do not count, and case does not matter. */
enum { SPELLING_LETTERS_MAX = 24, SPELLING_FAR = SPELLING_LETTERS_MAX + 1 };

/* Returns the optimal string alignment distance: how many letters must be inserted, deleted,
 * replaced, or swapped with the next one to turn one name into the other. SPELLING_FAR: a name is
 * too long. */
unsigned spelling_distance(const char *one, const char *other);

/* Returns the name in names[0..count) that is nearest to `name`, the first of equally near ones;
 * NULL: none is near. */
const char *spelling_nearest(const char *name, const char *const *names, size_t count);

/* Returns the distance of the two names if they are near, else SPELLING_FAR. */
unsigned spelling_compare(const char *name, const char *known);

#endif
