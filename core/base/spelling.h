/* spelling.h: how near a name is to a known one, for messages such as "did you mean". */
#ifndef BASE_SPELLING_H
#define BASE_SPELLING_H

#include <stdbool.h>
#include <stddef.h>

/* Names with more letters than this are never taken for misspelled ones. */
enum { SPELLING_LETTERS_MAX = 24 };

/* A name as it is compared: without "_", "-" and capitals, which styles of writing differ in. */
struct spelling {
  unsigned length;
  char letters[SPELLING_LETTERS_MAX];
};

/* False: the name has too many letters. */
bool spelling_normalize(const char *name, struct spelling *spelling);

/* How many letters must be inserted, deleted, replaced, or swapped with the next one to make `a` of
 * `b`: the distance of optimal string alignment. */
unsigned spelling_distance(const struct spelling *a, const struct spelling *b);

/* The one of `count` names that is meant by a name that is none of them; NULL: none is near. Of two
 * that are equally near, the first counts. */
const char *spelling_nearest(const char *name, const char *const *names, size_t count);

/* The same for a caller that goes through names one by one: how far apart the two are if `known`
 * may be meant by `name`, else SPELLING_FAR. */
enum { SPELLING_FAR = SPELLING_LETTERS_MAX + 1 };
unsigned spelling_compare(const char *name, const char *known);

#endif
