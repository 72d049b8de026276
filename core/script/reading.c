#include "script/reading.h"

#include <lauxlib.h>
#include <string.h>

#include "script/framing_value.h"

/* ---- what is asked for --------------------------------------------------------------------- */

/* As Lua's own files do, a "*" is allowed in front. */
static void take_name(lua_State *state, int index, struct reading *reading) {
  static const struct {
    const char *name;
    enum reading_kind kind;
  } kinds[] = {
      {"l", READING_LINE}, {"L", READING_LINE_ENDED}, {"a", READING_ALL}, {"any", READING_ANY}};
  const char *name = lua_tostring(state, index);
  if (*name == '*') name++;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(name, kinds[i].name) != 0) continue;
    reading->kind = kinds[i].kind;
    return;
  }
  luaL_argerror(state, index, "must be \"l\", \"L\", \"a\", \"any\", a number or a framing");
}

static void take_count(lua_State *state, int index, struct reading *reading, lua_Integer low,
                       lua_Integer high, const char *complaint) {
  int is_whole;
  lua_Integer count = lua_tointegerx(state, index, &is_whole);
  luaL_argcheck(state, is_whole && count >= low && count <= high, index, complaint);
  reading->count = (size_t)count;
}

void reading_take(lua_State *state, int index, struct reading *reading) {
  *reading = (struct reading){.kind = READING_LINE};
  const struct framing_value *framing;
  int type = lua_type(state, index);
  if (type <= LUA_TNIL) return;
  if (type == LUA_TNUMBER) {
    reading->kind = READING_COUNT;
    take_count(state, index, reading, 0, LUA_MAXINTEGER, "must be a whole number from 0 on");
  } else if (type == LUA_TSTRING)
    take_name(state, index, reading);
  else if ((framing = framing_value_test(state, index))) {
    luaL_argcheck(state, !framing_streams_body(&framing->framing), index,
                  "framing.http with stream_body can only be the request_complete of a protocol");
    reading->kind = READING_FRAMING;
    reading->framing = framing->framing;
  } else
    luaL_typeerror(state, index, "string, number or framing");
}

void reading_take_peek(lua_State *state, int index, struct reading *reading) {
  *reading = (struct reading){.kind = READING_PEEK};
  luaL_checknumber(state, index);
  take_count(state, index, reading, 1, READING_ANY_MAX, "must be a whole number from 1 to 65536");
}

/* ---- looking ------------------------------------------------------------------------------- */

static enum reading_result found(struct reading_answer *answer, struct span value, size_t length) {
  answer->value = value;
  answer->length = length;
  return READING_DONE;
}

static enum reading_result failed(struct reading_answer *answer, const char *code,
                                  const char *why) {
  answer->code = code;
  answer->why = why;
  return READING_FAILED;
}

static enum reading_result too_large(struct reading_answer *answer, const char *why) {
  return failed(answer, "too_large", why);
}

/* What is asked for is not there, and will never be if this is the end. */
static enum reading_result wait_for_more(enum reading_end end, struct reading_answer *answer) {
  if (end == READING_OPEN) return READING_PARTIAL;
  if (end == READING_ENDED) return failed(answer, "closed", "closed");
  return failed(answer, "reset", "the connection was reset");
}

static enum reading_result look_for_line(struct reading *reading, struct span input,
                                         enum reading_end end, struct reading_answer *answer) {
  const char *feed = NULL;
  if (input.length > reading->seen)
    feed = memchr(input.data + reading->seen, '\n', input.length - reading->seen);
  size_t length = feed ? (size_t)(feed - input.data) + 1 : input.length;
  if (length > READING_LINE_MAX) return too_large(answer, "the line has more than 1 MiB");
  reading->seen = length;
  if (!feed) return wait_for_more(end, answer);
  reading->seen = 0;
  struct span line = {input.data, length};
  if (reading->kind == READING_LINE) {
    line.length--;
    if (line.length > 0 && line.data[line.length - 1] == '\r') line.length--;
  }
  return found(answer, line, length);
}

static enum reading_result look_for_count(const struct reading *reading, struct span input,
                                          enum reading_end end, struct reading_answer *answer) {
  if (reading->count > READING_MAX)
    return too_large(answer, "more than 16 MiB cannot be read at once");
  bool is_there = input.length >= reading->count &&
                  (reading->count > 0 || end == READING_OPEN || input.length > 0);
  if (!is_there) return wait_for_more(end, answer);
  size_t taken = reading->kind == READING_PEEK ? 0 : reading->count;
  return found(answer, (struct span){input.data, reading->count}, taken);
}

static enum reading_result look_for_end(struct span input, enum reading_end end,
                                        struct reading_answer *answer) {
  if (input.length > READING_MAX) return too_large(answer, "more than 16 MiB have come");
  if (end != READING_ENDED) return wait_for_more(end, answer);
  return found(answer, input, input.length);
}

static enum reading_result look_for_any(struct span input, enum reading_end end,
                                        struct reading_answer *answer) {
  if (input.length == 0) return wait_for_more(end, answer);
  if (input.length > READING_ANY_MAX) input.length = READING_ANY_MAX;
  return found(answer, input, input.length);
}

/* The progress of a frame that is complete is not kept, so that it is found again. */
static enum reading_result look_for_frame(struct reading *reading, struct span input,
                                          enum reading_end end, struct reading_answer *answer) {
  bool is_last = end == READING_ENDED;
  if (input.length == 0 || (input.length < reading->needed && !is_last))
    return wait_for_more(end, answer);
  struct framing_progress progress = reading->progress;
  (is_last ? framing_decode_end : framing_decode)(&reading->framing, input.data, input.length,
                                                  &progress, &answer->framed);
  switch (answer->framed.verdict) {
  case FRAMING_COMPLETE: return found(answer, answer->framed.payload, answer->framed.length);
  case FRAMING_HEAD: /* Not reached: reading_take() refuses such a framing. */
  case FRAMING_PARTIAL: break;
  case FRAMING_MALFORMED: return failed(answer, "malformed", NULL);
  case FRAMING_TOO_LARGE: return too_large(answer, NULL);
  }
  if (answer->framed.length > READING_MAX)
    return too_large(answer, "more than 16 MiB cannot be read at once");
  reading->progress = progress;
  reading->needed = answer->framed.length;
  return wait_for_more(end, answer);
}

enum reading_result reading_look(struct reading *reading, struct span input, enum reading_end end,
                                 struct reading_answer *answer) {
  switch (reading->kind) {
  case READING_LINE:
  case READING_LINE_ENDED: return look_for_line(reading, input, end, answer);
  case READING_COUNT:
  case READING_PEEK: return look_for_count(reading, input, end, answer);
  case READING_ALL: return look_for_end(input, end, answer);
  case READING_ANY: return look_for_any(input, end, answer);
  default: return look_for_frame(reading, input, end, answer);
  }
}

/* ---- results ------------------------------------------------------------------------------- */

void reading_push(lua_State *state, int index, const struct reading *reading,
                  const struct reading_answer *answer) {
  if (reading->kind != READING_FRAMING) {
    lua_pushlstring(state, answer->value.data ? answer->value.data : "", answer->value.length);
    return;
  }
  const struct framing_value *framing = framing_value_test(state, index);
  framing->push_request(state, index, &reading->framing, &answer->framed);
}

int reading_push_failure(lua_State *state, const struct reading *reading,
                         const struct reading_answer *answer) {
  char why[FRAMING_WHY_MAX];
  lua_pushnil(state);
  lua_pushstring(state, answer->why
                            ? answer->why
                            : framing_explain(&reading->framing, &answer->framed, why, sizeof why));
  lua_pushstring(state, answer->code);
  return 3;
}
