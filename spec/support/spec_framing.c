/* spec_framing.c: lets the specs call the decoders as the core does, with bytes that end at an
 * unreadable page, so that an over-read ends the run even without a sanitizer. */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "framing/framing.h"
#include "framing/http_body.h"
#include "modules/module_framing.h"
#include "script/framing_value.h"
#include "spec_fence.h"
#include "spec_module.h"

static const char *const answer_names[] = {[FRAMING_COMPLETE] = "complete",
                                           [FRAMING_HEAD] = "head",
                                           [FRAMING_PARTIAL] = "partial",
                                           [FRAMING_MALFORMED] = "malformed",
                                           [FRAMING_TOO_LARGE] = "too_large"};

/* Decodes a copy that ends at the unreadable page; the payload of the answer points into `bytes`.
 */
static void decode_fenced(const struct fence *fence, const struct framing *framing,
                          const char *bytes, size_t length, struct framing_progress *progress,
                          struct framing_answer *answer) {
  char *copy = fence->end - length;
  memcpy(copy, bytes, length);
  framing_decode(framing, copy, length, progress, answer);
  if (answer->verdict <= FRAMING_HEAD) answer->payload.data = bytes + (answer->payload.data - copy);
}

/* The same, when no byte comes behind these. */
static void end_fenced(const struct fence *fence, const struct framing *framing, const char *bytes,
                       size_t length, struct framing_progress *progress,
                       struct framing_answer *answer) {
  char *copy = fence->end - length;
  memcpy(copy, bytes, length);
  framing_decode_end(framing, copy, length, progress, answer);
  if (answer->verdict == FRAMING_COMPLETE)
    answer->payload.data = bytes + (answer->payload.data - copy);
}

static const struct framing *check_framing(lua_State *L) {
  const struct framing_value *value = framing_value_test(L, 1);
  luaL_argexpected(L, value != NULL, 1, "parlance.framing");
  return &value->framing;
}

static int push_answer(lua_State *L, const struct framing *framing,
                       const struct framing_progress *progress,
                       const struct framing_answer *answer) {
  char why[FRAMING_WHY_MAX];
  lua_newtable(L);
  lua_pushstring(L, answer_names[answer->verdict]);
  lua_setfield(L, -2, "answer");
  lua_pushinteger(L, (lua_Integer)answer->length);
  lua_setfield(L, -2, "length");
  lua_pushinteger(L, answer->verdict == FRAMING_PARTIAL ? (lua_Integer)progress->seen : 0);
  lua_setfield(L, -2, "seen");
  lua_pushstring(L, answer->interim);
  lua_setfield(L, -2, "interim");
  if (answer->until_end) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "until_end");
  }
  lua_pushstring(L, answer->got ? framing_explain(framing, answer, why, sizeof why) : answer->why);
  lua_setfield(L, -2, "why");
  if (answer->verdict <= FRAMING_HEAD)
    lua_pushlstring(L, answer->payload.data, answer->payload.length);
  else
    lua_pushnil(L);
  lua_setfield(L, -2, "payload");
  return 1;
}

/* forget(framing, bytes, more): decodes `bytes`, overwrites those behind the first line that were
 * seen, and returns the answer for all bytes. A framing with lines must not need them again. (The
 * header of `prefixed` has no line, and is read again by each call.) */
static int forget(lua_State *L) {
  const struct framing *framing = check_framing(L);
  size_t length, more;
  struct framing_progress progress = {0};
  struct framing_answer answer;
  const char *bytes = luaL_checklstring(L, 2, &length);
  luaL_checklstring(L, 3, &more);
  framing_decode(framing, bytes, length, &progress, &answer);
  luaL_argcheck(L, answer.verdict == FRAMING_PARTIAL, 2, "not partial");
  lua_concat(L, 2);
  char *copy = lua_newuserdatauv(L, length + more, 0);
  memcpy(copy, lua_tostring(L, 2), length + more);
  const char *line = memchr(copy, '\n', progress.seen);
  size_t from = line != NULL ? (size_t)(line - copy) + 1 : 0;
  memset(copy + from, '?', progress.seen - from);
  framing_decode(framing, copy, length + more, &progress, &answer);
  return push_answer(L, framing, &progress, &answer);
}

/* decode(framing, bytes, before): the answer of one call of framing_decode() as a table. With
 * `before`, another call with these bytes, which replace the first ones, comes first. */
static int decode(lua_State *L) {
  const struct framing *framing = check_framing(L);
  size_t length, before;
  const char *bytes = luaL_checklstring(L, 2, &length);
  const char *others = luaL_optlstring(L, 3, "", &before);
  struct framing_progress progress = {0};
  struct framing_answer answer;
  struct fence fence;
  luaL_argcheck(L, before <= length, 3, "more than there is");
  spec_fence_build(L, &fence, length);
  if (before > 0) decode_fenced(&fence, framing, others, before, &progress, &answer);
  decode_fenced(&fence, framing, bytes, length, &progress, &answer);
  spec_fence_free(&fence);
  return push_answer(L, framing, &progress, &answer);
}

static bool is_same(const struct framing_answer *a, const struct framing_answer *b) {
  return a->verdict == b->verdict && a->length == b->length && a->why == b->why &&
         a->got == b->got && a->payload.data == b->payload.data &&
         a->payload.length == b->payload.length && a->declared == b->declared &&
         a->arguments == b->arguments && a->until_end == b->until_end &&
         a->http.is_chunked == b->http.is_chunked && a->http.keeps_alive == b->http.keeps_alive;
}

/* Feeds up to `first` bytes, then `step` more at a time, until an answer is final, as a session
 * does. Returns the error in the answers, or NULL. */
static const char *feed_pieces(const struct fence *fence, const struct framing *framing,
                               struct span all, size_t first, size_t step,
                               struct framing_progress *progress, struct framing_answer *answer) {
  size_t asked = 0;
  *progress = (struct framing_progress){0};
  for (size_t there = first;; there += step) {
    if (there > all.length) there = all.length;
    decode_fenced(fence, framing, all.data, there, progress, answer);
    if (answer->verdict == FRAMING_COMPLETE && answer->length < asked)
      return "was complete before it had as many bytes as it asked for";
    if (answer->verdict != FRAMING_PARTIAL && there < asked)
      return "was refused before it had as many bytes as it asked for: a session would not look";
    if (answer->verdict == FRAMING_PARTIAL && answer->length <= there)
      return "asked for no more bytes than were there";
    if (answer->verdict != FRAMING_PARTIAL || there == all.length) return NULL;
    if (answer->length > asked) asked = answer->length;
  }
}

static const char *feed_all_ways(const struct fence *fence, const struct framing *framing,
                                 struct span all, struct framing_progress *progress,
                                 struct framing_answer *whole) {
  struct framing_progress in_pieces;
  struct framing_answer answer;
  const char *fault = feed_pieces(fence, framing, all, all.length, 1, progress, whole);
  if (fault == NULL) fault = feed_pieces(fence, framing, all, 0, 1, &in_pieces, &answer);
  if (fault == NULL && !is_same(whole, &answer)) fault = "answered otherwise byte by byte";
  for (size_t cut = 0; fault == NULL && cut <= all.length; cut++) {
    fault = feed_pieces(fence, framing, all, cut, all.length, &in_pieces, &answer);
    if (fault == NULL && !is_same(whole, &answer)) fault = "answered otherwise in two pieces";
  }
  return fault;
}

/* feed(framing, bytes): the answer for all the bytes. Checks that it is the same when they come
 * whole, byte by byte, and in two pieces, for each cut. */
static int feed(lua_State *L) {
  const struct framing *framing = check_framing(L);
  struct span all;
  all.data = luaL_checklstring(L, 2, &all.length);
  struct framing_progress progress;
  struct framing_answer answer;
  struct fence fence;
  spec_fence_build(L, &fence, all.length);
  const char *fault = feed_all_ways(&fence, framing, all, &progress, &answer);
  spec_fence_free(&fence);
  if (fault != NULL) return luaL_error(L, "framing.%s %s", framing_name(framing->kind), fault);
  return push_answer(L, framing, &progress, &answer);
}

/* value(framing, bytes): what a script finds for the bytes, behind which no byte comes; and the
 * length of the frame. nil, and why and the verdict, if they are no frame. */
static int value(lua_State *L) {
  const struct framing_value *value = framing_value_test(L, 1);
  struct framing_progress progress = {0};
  struct framing_answer answer;
  struct fence fence;
  char why[FRAMING_WHY_MAX];
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  luaL_argexpected(L, value != NULL, 1, "parlance.framing");
  spec_fence_build(L, &fence, length);
  end_fenced(&fence, &value->framing, bytes, length, &progress, &answer);
  spec_fence_free(&fence);
  if (answer.verdict != FRAMING_COMPLETE) {
    bool has_why = answer.verdict != FRAMING_PARTIAL;
    lua_pushnil(L);
    lua_pushstring(L, has_why ? framing_explain(&value->framing, &answer, why, sizeof why) : NULL);
    lua_pushstring(L, answer_names[answer.verdict]);
    return 3;
  }
  value->push_request(L, 1, &value->framing, &answer);
  lua_pushinteger(L, (lua_Integer)answer.length);
  return 2;
}

/* ---- bodies -------------------------------------------------------------------------------- */

static const char *const body_results[] = {[HTTP_BODY_PARTIAL] = "partial",
                                           [HTTP_BODY_OVER] = "over",
                                           [HTTP_BODY_MALFORMED] = "malformed",
                                           [HTTP_BODY_TOO_LARGE] = "too_large"};

/* What is found of a body. */
struct taken {
  char *data; /* As large as the body. */
  size_t length;
  size_t used; /* Bytes that were taken away. */
  enum http_body_result result;
  const char *why;
};

/* Takes the bytes apart, which come `step` at a time behind the first ones. Each call sees a copy
 * that ends at the unreadable page. */
static void take_body(const struct fence *fence, const struct http_body *begun, struct span all,
                      size_t first, size_t step, struct taken *taken) {
  struct http_body body = *begun;
  size_t there = first;
  taken->length = taken->used = 0;
  for (;;) {
    struct http_body_piece piece;
    size_t left = there - taken->used;
    char *copy = fence->end - left;
    memcpy(copy, all.data + taken->used, left);
    taken->result = http_body_next(&body, (struct span){copy, left}, step, &piece);
    taken->used += piece.length;
    taken->why = piece.why;
    if (taken->result == HTTP_BODY_FOUND) {
      memcpy(taken->data + taken->length, piece.data.data, piece.data.length);
      taken->length += piece.data.length;
    } else if (taken->result != HTTP_BODY_PARTIAL || there == all.length) {
      return;
    } else {
      there = all.length - there > step ? there + step : all.length;
    }
  }
}

static bool is_same_body(const struct taken *one, const struct taken *other) {
  return one->length == other->length && memcmp(one->data, other->data, one->length) == 0 &&
         one->result == other->result && one->used == other->used && one->why == other->why;
}

static const char *take_all_ways(const struct fence *fence, const struct http_body *body,
                                 struct span all, struct taken *whole, struct taken *pieces) {
  take_body(fence, body, all, all.length, all.length + 1, whole);
  for (size_t cut = 0; cut <= all.length; cut++) {
    take_body(fence, body, all, cut, all.length + 1, pieces);
    if (!is_same_body(whole, pieces)) return "gave another body in two pieces";
  }
  take_body(fence, body, all, 0, 1, pieces);
  return is_same_body(whole, pieces) ? NULL : "gave another body byte by byte";
}

/* body(framing, bytes): the data of the body behind the head, the last result, how many bytes the
 * request has, and why it is refused. Checks that they are the same whole, byte by byte, and in two
 * pieces, for each cut. */
static int take_request_body(lua_State *L) {
  const struct framing *framing = check_framing(L);
  struct span all;
  struct framing_progress progress = {0};
  struct framing_answer answer;
  struct http_body body;
  struct fence fence;
  all.data = luaL_checklstring(L, 2, &all.length);
  framing_decode(framing, all.data, all.length, &progress, &answer);
  luaL_argcheck(L, answer.verdict == FRAMING_HEAD, 2, "has no head with a body");
  http_body_begin(&body, framing, &answer);
  all = (struct span){all.data + answer.length, all.length - answer.length};
  struct taken whole = {.data = lua_newuserdatauv(L, all.length, 0)};
  struct taken pieces = {.data = lua_newuserdatauv(L, all.length, 0)};
  spec_fence_build(L, &fence, all.length);
  const char *fault = take_all_ways(&fence, &body, all, &whole, &pieces);
  spec_fence_free(&fence);
  if (fault != NULL) return luaL_error(L, "framing.http %s", fault);
  lua_pushlstring(L, whole.data, whole.length);
  lua_pushstring(L, body_results[whole.result]);
  lua_pushinteger(L, (lua_Integer)(answer.length + whole.used));
  lua_pushstring(L, whole.why);
  return 4;
}

static int open(lua_State *L) {
  luaL_requiref(L, "parlance.framing", module_framing_open, 0);
  return 1;
}

int spec_open_framing(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", decode}, {"feed", feed},
                                       {"forget", forget}, {"value", value},
                                       {"open", open},     {"body", take_request_body},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  spec_add_proxy(L);
  return 1;
}
