#include "base/spelling.h"

#include <stdbool.h>

/* A name without "_" and "-", in lower case. */
struct spelling {
  unsigned length;
  char letters[SPELLING_LETTERS_MAX];
};

/* False: the name has more than SPELLING_LETTERS_MAX letters. */
static bool normalize(const char *name, struct spelling *spelling) {
  spelling->length = 0;
  for (; *name != '\0'; name++) {
    if (*name == '_' || *name == '-') continue;
    if (spelling->length == SPELLING_LETTERS_MAX) return false;
    bool is_capital = *name >= 'A' && *name <= 'Z';
    spelling->letters[spelling->length++] = is_capital ? (char)(*name + ('a' - 'A')) : *name;
  }
  return true;
}

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

static unsigned distance(const struct spelling *a, const struct spelling *b) {
  /* between[i][j]: the distance of the first i letters of a and the first j letters of b. */
  unsigned between[SPELLING_LETTERS_MAX + 1][SPELLING_LETTERS_MAX + 1];
  for (unsigned i = 0; i <= a->length; i++) {
    for (unsigned j = 0; j <= b->length; j++) {
      if (i == 0 || j == 0) {
        between[i][j] = i + j;
        continue;
      }
      bool differs = a->letters[i - 1] != b->letters[j - 1];
      unsigned changed = between[i - 1][j - 1] + differs;
      between[i][j] = least(changed, 1 + least(between[i - 1][j], between[i][j - 1]));
      if (i > 1 && j > 1 && a->letters[i - 1] == b->letters[j - 2] &&
          a->letters[i - 2] == b->letters[j - 1])
        between[i][j] = least(between[i][j], between[i - 2][j - 2] + 1);
    }
  }
  return between[a->length][b->length];
}

/* The largest distance of two names that are near, for a known name of this length. */
static unsigned tolerance(unsigned length) { return length < 3 ? 0 : length < 6 ? 1 : length / 3; }

unsigned spelling_distance(const char *one, const char *other) {
  struct spelling a, b;
  return normalize(one, &a) && normalize(other, &b) ? distance(&a, &b) : SPELLING_FAR;
}

unsigned spelling_compare(const char *name, const char *known) {
  struct spelling a, b;
  if (!normalize(name, &a) || !normalize(known, &b)) return SPELLING_FAR;
  unsigned away = distance(&a, &b);
  return away <= tolerance(b.length) ? away : SPELLING_FAR;
}

const char *spelling_nearest(const char *name, const char *const *names, size_t count) {
  const char *nearest = NULL;
  unsigned least_away = SPELLING_FAR;
  for (size_t i = 0; i < count; i++) {
    unsigned away = spelling_compare(name, names[i]);
    if (away >= least_away) continue;
    least_away = away;
    nearest = names[i];
  }
  return nearest;
}
