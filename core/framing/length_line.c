#include "framing/decimal.h"
#include "framing/decoders.h"

void length_line_decode(const struct framing *framing, const char *bytes, size_t length,
                        size_t seen, struct framing_result *result) {
  (void)seen; /* decimal.h says why */
  struct decimal body;
  const char *why = decimal_read(bytes, length, '\n', &body);
  if (why != NULL) {
    answer_malformed(result, why);
  } else if (body.size == 0) {
    answer_partial(result, length + 1, length);
  } else if (body.value > framing->max || body.value > FRAME_MAX - body.size) {
    answer_over(result, body.value);
  } else {
    size_t frame = body.size + (size_t)body.value;
    if (length >= frame)
      answer_complete(result, bytes + body.size, (size_t)body.value, frame);
    else
      answer_partial(result, frame, length);
  }
}
