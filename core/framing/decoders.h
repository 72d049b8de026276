/* decoders.h: the decoders that framing.c chooses from, and what they share.
 *
 * Private to the room. A decoder fills in the answer once, by one of the functions at the end. */
#ifndef FRAMING_DECODERS_H
#define FRAMING_DECODERS_H

#include "framing/framing.h"

/* The longest frame. Its length fits an integer of Lua. */
#define FRAME_MAX ((size_t)PTRDIFF_MAX)

/* As framing_decode(), except that `bytes` is never NULL. */
typedef void framing_decoder(const struct framing *framing, const char *bytes, size_t length,
                             struct framing_progress *progress, struct framing_answer *answer);

framing_decoder line_decode;
framing_decoder delimited_decode;
framing_decoder fixed_decode;
framing_decoder length_line_decode;
framing_decoder prefixed_decode;
framing_decoder netstring_decode;
framing_decoder http_decode;
framing_decoder resp_decode;
framing_decoder http_response_decode;
framing_decoder resp_reply_decode;

/* What came of reading one part of a frame. */
enum reading {
  READING_DONE,  /* It is whole and sound. */
  READING_SHORT, /* Its end is not there. */
  READING_BAD    /* It is malformed. */
};

/* How many of the `length` bytes must be searched to know whether an ending of `ending` bytes
 * follows a payload of at most `max`. For example, a line of at most 10 bytes that ends with CR LF
 * ends within the first 12 bytes, however many there are. */
static inline size_t search_window(size_t length, size_t max, size_t ending) {
  return length > max && length - max > ending ? max + ending : length;
}

static inline void answer_complete(struct framing_answer *answer, const char *payload,
                                   size_t payload_length, size_t length) {
  *answer = (struct framing_answer){
      .verdict = FRAMING_COMPLETE, .length = length, .payload = {payload, payload_length}};
}

/* The decoder must be called with at least `needed` bytes next (see framing_decode()). The search
 * is over in the first `seen` of them. */
static inline void answer_partial(struct framing_answer *answer, struct framing_progress *progress,
                                  size_t needed, size_t seen) {
  *answer = (struct framing_answer){.verdict = FRAMING_PARTIAL, .length = needed};
  progress->seen = seen;
}

static inline void answer_malformed(struct framing_answer *answer, const char *why) {
  *answer = (struct framing_answer){.verdict = FRAMING_MALFORMED, .why = why};
}

static inline void answer_too_large(struct framing_answer *answer, const char *why) {
  *answer = (struct framing_answer){.verdict = FRAMING_TOO_LARGE, .why = why};
}

/* The frame declares a payload of this length, which is over `max`. */
static inline void answer_declared(struct framing_answer *answer, size_t payload_length) {
  answer_too_large(answer, "the length is larger than allowed");
  answer->declared = payload_length;
}

#endif
