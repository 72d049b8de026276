/* decoders.h: what framing.c chooses from, and the answers that its decoders share.
 *
 * Private to the room. A decoder takes what framing_decode() takes, except that `bytes` is never
 * NULL; it fills in the result once, by one of the five functions at the end. */
#ifndef FRAMING_DECODERS_H
#define FRAMING_DECODERS_H

#include "framing/framing.h"

/* No frame is longer than this, so that a length also fits Lua's integers. */
#define FRAME_MAX ((size_t)PTRDIFF_MAX)

void line_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                 struct framing_result *result);
void delimited_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                      struct framing_result *result);
void fixed_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                  struct framing_result *result);
void length_line_decode(const struct framing *framing, const char *bytes, size_t length,
                        size_t seen, struct framing_result *result);
void prefixed_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                     struct framing_result *result);
void netstring_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                      struct framing_result *result);
void http_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                 struct framing_result *result);
void resp_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                 struct framing_result *result);

/* How many of `length` bytes it takes to tell whether an ending of `ending` bytes comes in time for
 * a payload of at most `max`. */
static inline size_t search_window(size_t length, size_t max, size_t ending) {
  return length > max && length - max > ending ? max + ending : length;
}

static inline void answer_complete(struct framing_result *result, const char *payload,
                                   size_t payload_length, size_t length) {
  *result = (struct framing_result){.answer = FRAMING_COMPLETE,
                                    .length = length,
                                    .payload = {.data = payload, .length = payload_length}};
}

static inline void answer_partial(struct framing_result *result, size_t needed, size_t seen) {
  *result = (struct framing_result){.answer = FRAMING_PARTIAL, .length = needed, .seen = seen};
}

static inline void answer_malformed(struct framing_result *result, const char *why) {
  *result = (struct framing_result){.answer = FRAMING_MALFORMED, .why = why};
}

/* The length is declared. */
static inline void answer_over(struct framing_result *result, size_t payload_length) {
  *result = (struct framing_result){.answer = FRAMING_TOO_LARGE,
                                    .payload = {.length = payload_length},
                                    .why = "the length is larger than allowed"};
}

static inline void answer_too_large(struct framing_result *result, const char *why) {
  *result = (struct framing_result){.answer = FRAMING_TOO_LARGE, .why = why};
}

#endif
