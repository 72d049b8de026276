/* https://cr.yp.to/proto/netstrings.txt */
#include "framing/decimal.h"
#include "framing/decoders.h"

void netstring_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                      struct framing_result *result) {
  (void)seen; /* decimal.h says why */
  struct decimal body;
  const char *why = decimal_read(bytes, length, ':', &body);
  if (why != NULL) {
    answer_malformed(result, why);
  } else if (body.size == 0) {
    answer_partial(result, length + 1, length);
  } else if (body.value > framing->max || body.value > FRAME_MAX - body.size - 1) {
    answer_over(result, body.value);
  } else {
    size_t comma = body.size + (size_t)body.value;
    if (length <= comma)
      answer_partial(result, comma + 1, length);
    else if (bytes[comma] != ',')
      answer_malformed(result, "no comma stands behind the body");
    else
      answer_complete(result, bytes + body.size, (size_t)body.value, comma + 1);
  }
}
