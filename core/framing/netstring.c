/* https://cr.yp.to/proto/netstrings.txt */
#include "framing/decimal.h"
#include "framing/decoders.h"

void netstring_decode(const struct framing *framing, const char *bytes, size_t length,
                      struct framing_progress *progress, struct framing_answer *answer) {
  struct decimal body;
  const char *why = decimal_read(bytes, length, ':', &body);
  if (why != NULL) {
    answer_malformed(answer, why);
  } else if (body.size == 0) {
    answer_partial(answer, progress, length + 1, length);
  } else if (body.value > framing->max || body.value > FRAME_MAX - body.size - 1) {
    answer_declared(answer, body.value);
  } else {
    size_t comma = body.size + (size_t)body.value;
    if (length <= comma)
      answer_partial(answer, progress, comma + 1, length);
    else if (bytes[comma] != ',')
      answer_malformed(answer, "no comma stands behind the body");
    else
      answer_complete(answer, bytes + body.size, (size_t)body.value, comma + 1);
  }
}
