/* Requests that begin with their length in decimal: length lines, and netstrings
 * (https://cr.yp.to/proto/netstrings.txt).
 *
 * The reader is strict: two readers that disagree about "05" or "+5" disagree about where the next
 * request begins. A length has at most 20 bytes, so each call reads it again. */
#include "framing/decoders.h"

struct decimal {
  uint64_t value; /* At most INT64_MAX. */
  size_t size;    /* Bytes of the digits and the end mark; 0 while the end mark is missing. */
};

/* Reads digits up to the byte `end`. Returns NULL, or why the bytes cannot become a length. */
static inline const char *read_decimal(const char *bytes, size_t length, char end,
                                       struct decimal *decimal) {
  uint64_t value = 0;
  decimal->size = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned digit = (unsigned char)bytes[i] - (unsigned)'0';
    if (digit > 9) {
      if (bytes[i] == '\r' && i > 0) return "the length is followed by a carriage return";
      if (bytes[i] != end) return "the length holds a byte that is not a digit";
      if (i == 0) return "the length is missing";
      decimal->value = value;
      decimal->size = i + 1;
      return NULL;
    }
    if (value == 0 && i > 0) return "the length has a leading zero";
    if (value > INT64_MAX / 10) return "the length does not fit into 63 bits";
    value = value * 10 + digit;
    if (value > INT64_MAX) return "the length does not fit into 63 bits";
  }
  return NULL;
}

/* A length, the byte `end`, a body of that length, and a comma if it has one. */
static inline void decode(const struct framing *framing, const char *bytes, size_t length,
                          struct framing_progress *progress, struct framing_answer *answer,
                          char end, bool has_comma) {
  struct decimal body;
  const char *why = read_decimal(bytes, length, end, &body);
  if (why != NULL) {
    answer_malformed(answer, why);
  } else if (body.size == 0) {
    answer_partial(answer, progress, length + 1, length);
  } else if (body.value > framing->max || body.value > FRAME_MAX - body.size - has_comma) {
    answer_declared(answer, body.value);
  } else {
    size_t frame = body.size + (size_t)body.value + has_comma;
    if (length < frame)
      answer_partial(answer, progress, frame, length);
    else if (has_comma && bytes[frame - 1] != ',')
      answer_malformed(answer, "no comma stands behind the body");
    else
      answer_complete(answer, bytes + body.size, (size_t)body.value, frame);
  }
}

void length_line_decode(const struct framing *framing, const char *bytes, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer) {
  decode(framing, bytes, length, progress, answer, '\n', false);
}

void netstring_decode(const struct framing *framing, const char *bytes, size_t length,
                      struct framing_progress *progress, struct framing_answer *answer) {
  decode(framing, bytes, length, progress, answer, ':', true);
}
