#include "script/misspelled.h"

#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "script/generation.h"

/* The fields that are no functions. */
static const char *const settings[] = {"blocksize",       "close_when_done", "example",
                                       "idle_timeout",    "listen",          "max_request",
                                       "request_timeout", "write_timeout"};

enum {
  SETTING_COUNT = sizeof settings / sizeof *settings,
  KNOWN_COUNT = FUNCTION_COUNT + SETTING_COUNT
};

/* Longer names mean something else, and a protocol of more fields is no protocol of a person's. */
enum { LETTERS_MAX = 20, FIELDS_MAX = 1000 };

/* A name as it is compared, without what styles of writing differ in. */
struct name {
  const char *text;
  unsigned length;
  char letters[LETTERS_MAX];
};

static bool take_name(const char *text, struct name *name) {
  *name = (struct name){.text = text};
  for (; *text != '\0'; text++) {
    if (*text == '_' || *text == '-') continue;
    if (name->length == LETTERS_MAX) return false;
    bool is_capital = *text >= 'A' && *text <= 'Z';
    name->letters[name->length++] = is_capital ? (char)(*text + ('a' - 'A')) : *text;
  }
  return true;
}

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* How many letters have to be put in, left out, replaced, or swapped with the next: the distance of
 * optimal string alignment. */
static unsigned distance(const struct name *a, const struct name *b) {
  unsigned between[LETTERS_MAX + 1][LETTERS_MAX + 1]; /* of the first i letters and the first j */
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

/* Short words are near to many others that are meant as they stand. */
static unsigned tolerance(const struct name *known) {
  return known->length < 8 ? 0 : known->length < 13 ? 1 : 2;
}

struct nearest {
  struct name known;
  const char *field; /* NULL: none is near */
  unsigned distance;
  bool is_there; /* as it should be */
};

/* Of two that are as near the first in the alphabet counts, since fields have no order. */
static void compare(struct nearest *nearest, const struct name *field) {
  if (strcmp(field->text, nearest->known.text) == 0) nearest->is_there = true;
  unsigned most = nearest->known.length + tolerance(&nearest->known);
  unsigned fewest = nearest->known.length - tolerance(&nearest->known);
  if (field->length < fewest || field->length > most) return;
  unsigned away = distance(&nearest->known, field);
  if (away > tolerance(&nearest->known)) return;
  bool is_nearer = !nearest->field || away < nearest->distance ||
                   (away == nearest->distance && strcmp(field->text, nearest->field) < 0);
  if (!is_nearer) return;
  nearest->field = field->text;
  nearest->distance = away;
}

static void warn(const char *service, const struct nearest *nearest) {
  struct log_line line;
  if (!log_begin(&line, LOG_WARN, "misspelled")) return;
  log_text(&line, "service", service);
  log_text(&line, "field", nearest->field);
  log_text(&line, "meant", nearest->known.text);
  log_end(&line);
}

void misspelled_warn(lua_State *state, int protocol, const char *service) {
  struct nearest all[KNOWN_COUNT] = {0};
  for (int i = 0; i < KNOWN_COUNT; i++)
    (void)take_name(i < FUNCTION_COUNT ? generation_function_name((enum function)i)
                                       : settings[i - FUNCTION_COUNT],
                    &all[i].known);
  protocol = lua_absindex(state, protocol);
  lua_pushnil(state);
  for (int fields = 0; lua_next(state, protocol) != 0; fields++) {
    struct name field;
    lua_pop(state, 1);
    if (fields == FIELDS_MAX) {
      lua_pop(state, 1);
      break;
    }
    if (lua_type(state, -1) != LUA_TSTRING || !take_name(lua_tostring(state, -1), &field)) continue;
    for (int i = 0; i < KNOWN_COUNT; i++) compare(&all[i], &field);
  }
  for (int i = 0; i < KNOWN_COUNT; i++)
    if (all[i].field && !all[i].is_there) warn(service, &all[i]);
}
