#include "framing/decoders.h"

void fixed_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                  struct framing_result *result) {
  (void)seen; /* no byte is looked at */
  size_t size = framing->option.fixed.size;
  if (size > framing->max)
    answer_too_large(result, "the fixed size is larger than allowed");
  else if (length >= size)
    answer_complete(result, bytes, size, size);
  else
    answer_partial(result, size, length);
}
