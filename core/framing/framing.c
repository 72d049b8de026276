#include "framing/framing.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "framing/decoders.h"

void framing_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                    struct framing_result *result) {
  assert(seen <= length);
  if (bytes == NULL) bytes = ""; /* even adding 0 to NULL is undefined */
  switch (framing->kind) {
  case FRAMING_LINE: line_decode(framing, bytes, length, seen, result); break;
  case FRAMING_DELIMITED: delimited_decode(framing, bytes, length, seen, result); break;
  case FRAMING_FIXED: fixed_decode(framing, bytes, length, seen, result); break;
  case FRAMING_LENGTH_LINE: length_line_decode(framing, bytes, length, seen, result); break;
  case FRAMING_PREFIXED: prefixed_decode(framing, bytes, length, seen, result); break;
  case FRAMING_NETSTRING: netstring_decode(framing, bytes, length, seen, result); break;
  case FRAMING_HTTP: http_decode(framing, bytes, length, seen, result); break;
  case FRAMING_RESP: resp_decode(framing, bytes, length, seen, result); break;
  }
}

const char *framing_explain(const struct framing *framing, const struct framing_result *result,
                            char *text, size_t size) {
  if (result->answer == FRAMING_TOO_LARGE && result->payload.length > 0)
    snprintf(text, size, "%s: %zu bytes, and %zu are allowed", result->why, result->payload.length,
             framing->max);
  else
    snprintf(text, size, "%s", result->why);
  return text;
}

const char *framing_name(enum framing_kind kind) {
  switch (kind) {
  case FRAMING_LINE: return "line";
  case FRAMING_DELIMITED: return "delimited";
  case FRAMING_FIXED: return "fixed";
  case FRAMING_LENGTH_LINE: return "length_line";
  case FRAMING_PREFIXED: return "prefixed";
  case FRAMING_NETSTRING: return "netstring";
  case FRAMING_HTTP: return "http";
  case FRAMING_RESP: return "resp";
  }
  return "unknown";
}

/* Redis has its clients told which byte it got; nothing else is quoted. */
size_t framing_why_length(const char *why) {
  const char *quoted = strstr(why, ", got '");
  return quoted ? (size_t)(quoted - why) : strlen(why);
}
