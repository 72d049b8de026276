#include "reload/misspelled.h"

#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "base/spelling.h"
#include "script/generation.h"

/* The fields that are no functions. */
static const char *const other_fields[] = {"blocksize",       "close_when_done", "example",
                                           "idle_timeout",    "listen",          "max_request",
                                           "request_timeout", "settings",        "write_timeout"};

enum {
  OTHER_COUNT = sizeof other_fields / sizeof *other_fields,
  KNOWN_COUNT = FUNCTION_COUNT + OTHER_COUNT
};

/* A protocol of more fields is no protocol of a person's. */
enum { FIELDS_MAX = 1000 };

/* A name, and how it is compared. */
struct name {
  const char *text;
  struct spelling spelling;
};

static bool take_name(const char *text, struct name *name) {
  name->text = text;
  return spelling_normalize(text, &name->spelling);
}

/* Short words are near to many others that are meant as they stand. */
static unsigned tolerance(const struct name *known) {
  unsigned length = known->spelling.length;
  return length < 8 ? 0 : length < 13 ? 1 : 2;
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
  unsigned most = nearest->known.spelling.length + tolerance(&nearest->known);
  unsigned fewest = nearest->known.spelling.length - tolerance(&nearest->known);
  if (field->spelling.length < fewest || field->spelling.length > most) return;
  unsigned away = spelling_distance(&nearest->known.spelling, &field->spelling);
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

/* Compares the names of all fields with `count` that are known. */
static void compare_fields(lua_State *state, int protocol, struct nearest *all, int count) {
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
    for (int i = 0; i < count; i++) compare(&all[i], &field);
  }
}

const char *misspelled_find(lua_State *state, int protocol, const char *known) {
  struct nearest nearest = {0};
  (void)take_name(known, &nearest.known);
  compare_fields(state, protocol, &nearest, 1);
  return nearest.field;
}

void misspelled_warn(lua_State *state, int protocol, const char *service) {
  struct nearest all[KNOWN_COUNT] = {0};
  for (int i = 0; i < KNOWN_COUNT; i++)
    (void)take_name(i < FUNCTION_COUNT ? generation_function_name((enum function)i)
                                       : other_fields[i - FUNCTION_COUNT],
                    &all[i].known);
  compare_fields(state, protocol, all, KNOWN_COUNT);
  for (int i = 0; i < KNOWN_COUNT; i++)
    if (all[i].field && !all[i].is_there) warn(service, &all[i]);
}
