#include <assert.h>
#include <string.h>

#include "framing/decoders.h"

/* Where a delimiter that is not complete may begin in bytes[from..length), which holds no complete
 * one. For example, with the delimiter "\r\n." it may begin at 3 in "abc\r\n", and at 4, the end of
 * the bytes, in "abcd". */
static size_t possible_start(const struct framing *framing, const char *bytes, size_t length,
                             size_t from) {
  size_t size = framing->option.delimited.length;
  const char *delimiter = framing->option.delimited.bytes;
  size_t start = length - from < size ? from : length - (size - 1);
  while (start < length && memcmp(bytes + start, delimiter, length - start) != 0) start++;
  return start;
}

/* How many bytes are needed when a delimiter may begin at `start`: those up to its end. If that is
 * over the limit, the next byte may already show that the payload is too large. */
static size_t bytes_needed(const struct framing *framing, size_t length, size_t start) {
  size_t needed = start + framing->option.delimited.length;
  if (needed <= framing->max) return needed;
  return (length > framing->max ? length : framing->max) + 1;
}

void delimited_decode(const struct framing *framing, const char *bytes, size_t length,
                      struct framing_progress *progress, struct framing_answer *answer) {
  size_t size = framing->option.delimited.length;
  size_t window = search_window(length, framing->max, size);
  size_t seen = progress->seen;
  assert(seen <= window);
  const char *found = memmem(bytes + seen, window - seen, framing->option.delimited.bytes, size);
  size_t start =
      found != NULL ? (size_t)(found - bytes) : possible_start(framing, bytes, window, seen);
  if (start > framing->max)
    answer_too_large(answer, "no delimiter within the bytes that are allowed");
  else if (found != NULL)
    answer_complete(answer, bytes, start, start + size);
  else
    answer_partial(answer, progress, bytes_needed(framing, length, start), start);
}
