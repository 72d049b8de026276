#include "framing/decimal.h"
#include "framing/decoders.h"

void length_line_decode(const struct framing *framing, const char *bytes, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer) {
  struct decimal body;
  const char *why = decimal_read(bytes, length, '\n', &body);
  if (why != NULL) {
    answer_malformed(answer, why);
  } else if (body.size == 0) {
    answer_partial(answer, progress, length + 1, length);
  } else if (body.value > framing->max || body.value > FRAME_MAX - body.size) {
    answer_declared(answer, body.value);
  } else {
    size_t frame = body.size + (size_t)body.value;
    if (length >= frame)
      answer_complete(answer, bytes + body.size, (size_t)body.value, frame);
    else
      answer_partial(answer, progress, frame, length);
  }
}
