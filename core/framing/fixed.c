#include "framing/decoders.h"

void fixed_decode(const struct framing *framing, const char *bytes, size_t length,
                  struct framing_progress *progress, struct framing_answer *answer) {
  size_t size = framing->option.fixed.size;
  if (size > framing->max)
    answer_too_large(answer, "the fixed size is larger than allowed");
  else if (length >= size)
    answer_complete(answer, bytes, size, size);
  else
    answer_partial(answer, progress, size, length);
}
