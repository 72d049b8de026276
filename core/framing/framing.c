#include "framing/framing.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "framing/decoders.h"

/* Stands between the text of an error and the byte that it quotes, as in Redis. */
#define GOT ", got '"

void framing_decode(const struct framing *framing, const char *bytes, size_t length,
                    struct framing_progress *progress, struct framing_answer *answer) {
  assert(progress->seen <= length);
  if (bytes == NULL) bytes = ""; /* Adding 0 to NULL is undefined. */
  switch (framing->kind) {
  case FRAMING_LINE: line_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_DELIMITED: delimited_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_FIXED: fixed_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_LENGTH_LINE: length_line_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_PREFIXED: prefixed_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_NETSTRING: netstring_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_HTTP: http_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_RESP: resp_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_HTTP_RESPONSE: http_response_decode(framing, bytes, length, progress, answer); break;
  case FRAMING_RESP_REPLY: resp_reply_decode(framing, bytes, length, progress, answer); break;
  }
}

void framing_decode_end(const struct framing *framing, const char *bytes, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer) {
  framing_decode(framing, bytes, length, progress, answer);
  if (answer->verdict != FRAMING_PARTIAL || !answer->until_end) return;
  answer_complete(answer, bytes + progress->seen, length - progress->seen, length);
}

const char *framing_explain(const struct framing *framing, const struct framing_answer *answer,
                            char *text, size_t size) {
  if (answer->declared > 0)
    snprintf(text, size, "%s: %zu bytes, and %zu are allowed", answer->why, answer->declared,
             framing->max);
  else if (answer->got != 0)
    snprintf(text, size, "%s" GOT "%c'", answer->why, answer->got);
  else
    snprintf(text, size, "%s", answer->why);
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
  case FRAMING_HTTP:
  case FRAMING_HTTP_RESPONSE: return "http";
  case FRAMING_RESP:
  case FRAMING_RESP_REPLY: return "resp";
  }
  return ""; /* not reached: the compiler warns if a kind has no case */
}

size_t framing_why_length(const char *why) {
  const char *quoted = strstr(why, GOT);
  return quoted ? (size_t)(quoted - why) : strlen(why);
}
