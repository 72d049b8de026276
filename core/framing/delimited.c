#include <assert.h>
#include <string.h>

#include "framing/decoders.h"

/* Where in bytes[from..length), which holds no whole delimiter, one may have begun. */
static size_t possible_start(const struct framing *framing, const char *bytes, size_t length,
                             size_t from) {
  size_t size = framing->option.delimited.length;
  const char *delimiter = framing->option.delimited.bytes;
  size_t start = length - from < size ? from : length - (size - 1);
  while (start < length && memcmp(bytes + start, delimiter, length - start) != 0) start++;
  return start;
}

void delimited_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                      struct framing_result *result) {
  size_t size = framing->option.delimited.length;
  size_t window = search_window(length, framing->max, size);
  assert(seen <= window);
  const char *found = memmem(bytes + seen, window - seen, framing->option.delimited.bytes, size);
  size_t start =
      found != NULL ? (size_t)(found - bytes) : possible_start(framing, bytes, window, seen);
  if (start > framing->max)
    answer_too_large(result, "no delimiter within the bytes that are allowed");
  else if (found != NULL)
    answer_complete(result, bytes, start, start + size);
  else
    answer_partial(result, start + size, start);
}
