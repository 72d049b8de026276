#include <assert.h>
#include <string.h>

#include "framing/decoders.h"

/* The length of the text in bytes[0..end), which a line feed follows or may follow. */
static size_t without_carriage_return(const char *bytes, size_t end) {
  return end > 0 && bytes[end - 1] == '\r' ? end - 1 : end;
}

void line_decode(const struct framing *framing, const char *bytes, size_t length,
                 struct framing_progress *progress, struct framing_answer *answer) {
  size_t window = search_window(length, framing->max, sizeof "\r\n" - 1);
  size_t seen = progress->seen;
  assert(seen <= window);
  const char *feed = memchr(bytes + seen, '\n', window - seen);
  size_t end = feed != NULL ? (size_t)(feed - bytes) : window;
  /* Without a line feed: the fewest bytes that the line can have. */
  size_t text = without_carriage_return(bytes, end);
  if (text > framing->max)
    answer_too_large(answer, "the line is longer than allowed");
  else if (feed != NULL)
    answer_complete(answer, bytes, text, end + 1);
  else
    answer_partial(answer, progress, length + 1, length);
}
