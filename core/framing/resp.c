/* In an array, progress->seen is where the argument begins that is not complete. A further call
 * reads the "*3\r\n" at the front and the "$5\r\n" of that argument again, and nothing else: some
 * 40 bytes at most. In an inline request, progress->seen is where the search for the line feed goes
 * on.
 */
#include "framing/resp.h"

#include <string.h>

#include "framing/decoders.h"

/* The smallest argument: "$0\r\n\r\n". */
enum { ARGUMENT_SIZE_MIN = 6 };

static const char *const bad_count = "Protocol error: invalid multibulk length";
static const char *const bad_type = "Protocol error: expected '$'";
static const char *const bad_byte = "Protocol error: expected '$', got no printable byte";
static const char *const bad_length = "Protocol error: invalid bulk length";
static const char *const bad_end = "Protocol error: expected CRLF behind the argument";
static const char *const bad_quotes = "Protocol error: unbalanced quotes in request";
static const char *const bad_nul = "Protocol error: NUL in an inline request";
static const char *const too_long = "Protocol error: too big inline request";
static const char *const too_many = "the request has more arguments than allowed";
static const char *const too_much = "the arguments are larger than allowed";

/* Arrays */

/* Reads a decimal number of at most `max`, and the CRLF behind it; *at is then behind both. As
 * strict as Redis: no plus sign, no leading zero, and here the line feed is looked at as well. */
static enum reading read_number(const char **at, const char *end, uint64_t max, uint64_t *number) {
  const char *digit = *at;
  uint64_t value = 0;
  for (; digit < end; digit++) {
    unsigned figure = (unsigned char)*digit - (unsigned)'0';
    if (figure > 9) break;
    if (value == 0 && digit > *at) return READING_BAD;
    if (value > max / 10) return READING_BAD; /* so that the next line cannot overflow */
    value = value * 10 + figure;
    if (value > max) return READING_BAD;
  }
  if (digit == end) return READING_SHORT;
  if (*digit != '\r' || digit == *at) return READING_BAD;
  if (end - digit < 2) return READING_SHORT;
  if (digit[1] != '\n') return READING_BAD;
  *at = digit + 2;
  *number = value;
  return READING_DONE;
}

/* Reads "*3\r\n"; *at stands at the '*'. A count below zero is none, as for Redis. */
static enum reading read_count(const char **at, const char *end, size_t *count) {
  const char *digits = *at + 1;
  bool is_negative = digits < end && *digits == '-';
  uint64_t max = is_negative ? (uint64_t)INT64_MAX + 1 : RESP_ARGUMENTS_MAX;
  uint64_t number = 0;
  if (is_negative) digits++;
  if (is_negative && digits < end && *digits == '0') return READING_BAD;
  enum reading reading = read_number(&digits, end, max, &number);
  *at = digits;
  *count = is_negative ? 0 : (size_t)number;
  return reading;
}

/* Reads the "5\r\n" or "16\r\n" of nearly every argument; false if it is anything else. There are
 * at least so many bytes that none has to be counted. */
static inline bool read_short_length(const char *at, struct span *body) {
  unsigned figure = (unsigned char)at[0] - (unsigned)'0';
  unsigned next = (unsigned char)at[1] - (unsigned)'0';
  if (figure > 9) return false;
  if (at[1] == '\r' && at[2] == '\n') {
    *body = (struct span){at + 3, figure};
    return true;
  }
  if (figure == 0 || next > 9 || at[2] != '\r' || at[3] != '\n') return false;
  *body = (struct span){at + 4, figure * 10 + next};
  return true;
}

static enum reading read_any_header(const char *at, const char *end, struct span *body,
                                    const char **why) {
  uint64_t length = 0;
  if (at == end) return READING_SHORT;
  *why = *at == '$' ? bad_length : bad_type;
  if (*at++ != '$') return READING_BAD;
  enum reading reading = read_number(&at, end, RESP_BULK_MAX, &length);
  *body = (struct span){at, (size_t)length};
  return reading;
}

/* Reads "$5\r\n"; then *body has where the argument is to stand, and its length. */
static inline enum reading read_header(const char *at, const char *end, struct span *body,
                                       const char **why) {
  if (end - at >= ARGUMENT_SIZE_MIN && *at == '$' && read_short_length(at + 1, body))
    return READING_DONE;
  return read_any_header(at, end, body, why);
}

/* Checks that a body is there, and the CRLF behind it. */
static enum reading read_body(const struct span *body, const char *end) {
  size_t there = (size_t)(end - body->data);
  if (there > body->length && body->data[body->length] != '\r') return READING_BAD;
  if (there < body->length + 2) return READING_SHORT;
  return body->data[body->length + 1] == '\n' ? READING_DONE : READING_BAD;
}

/* An array that is read from `at` on, and what the arguments before that had. */
struct array {
  struct span bytes;
  const char *at;
  size_t left;
  size_t taken;
};

/* The next byte that can be a wrong one is the nth of the argument at which the array goes on; or,
 * if that is there, any one. More is not asked for: a wrong byte is to be found when it comes. */
static void answer_array_partial(const struct array *array, size_t nth,
                                 struct framing_progress *progress, struct framing_answer *answer) {
  size_t seen = (size_t)(array->at - array->bytes.data);
  size_t more = array->bytes.length + 1;
  answer_partial(answer, progress, seen + nth > more ? seen + nth : more, seen);
  progress->arguments = (uint32_t)array->left;
  progress->taken = array->taken;
}

/* Redis names the byte that it got in the place of a '$', if that can be printed. */
static void answer_bad_argument(struct framing_answer *answer, const char *why, char got) {
  bool is_named = why == bad_type && got >= ' ' && got <= '~';
  answer_malformed(answer, why == bad_type && !is_named ? bad_byte : why);
  if (is_named) answer->got = got;
}

/* Goes over the arguments; answers and returns false where they end early. */
static bool read_arguments(struct array *array, size_t max, struct framing_progress *progress,
                           struct framing_answer *answer) {
  const char *end = array->bytes.data + array->bytes.length;
  for (; array->left > 0; array->left--) {
    struct span body = {NULL, 0};
    const char *why = NULL;
    size_t nth = 0;
    enum reading reading = read_header(array->at, end, &body, &why);
    if (reading == READING_DONE) {
      if (body.length > max - array->taken) {
        answer_too_large(answer, too_much);
        return false;
      }
      nth = (size_t)(body.data - array->at) + body.length + 1;
      why = bad_end;
      reading = read_body(&body, end);
    }
    if (reading == READING_BAD)
      answer_bad_argument(answer, why, *array->at);
    else if (reading == READING_SHORT)
      answer_array_partial(array, nth, progress, answer);
    if (reading != READING_DONE) return false;
    array->at = body.data + body.length + 2;
    array->taken += body.length;
  }
  return true;
}

static void answer_request(const char *bytes, size_t length, size_t arguments,
                           struct framing_answer *answer) {
  answer_complete(answer, bytes, length, length);
  answer->arguments = (uint32_t)arguments;
}

static void decode_array(const struct framing *framing, struct span bytes,
                         struct framing_progress *progress, struct framing_answer *answer) {
  struct array array = {.bytes = bytes, .at = bytes.data};
  size_t count;
  enum reading reading = read_count(&array.at, bytes.data + bytes.length, &count);
  if (reading == READING_SHORT) {
    answer_partial(answer, progress, bytes.length + 1, 0);
  } else if (reading == READING_BAD) {
    answer_malformed(answer, bad_count);
  } else if (count > framing->option.resp.max_arguments) {
    answer_too_large(answer, too_many);
  } else {
    array.left = count;
    if (progress->seen > 0) {
      array.at = bytes.data + progress->seen;
      array.left = progress->arguments;
      array.taken = progress->taken;
    }
    if (read_arguments(&array, framing->max, progress, answer))
      answer_request(bytes.data, (size_t)(array.at - bytes.data), count, answer);
  }
}

/* Inline requests: https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands,
 * and the quotes as Redis takes them (sdssplitargs in its sds.c). */

static bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit = (char)(digit | 0x20);
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Reads what stands behind a backslash, and returns how many bytes that are; in single quotes it is
 * one only before a single quote. */
static size_t read_escape(const char *at, const char *end, char quote, char *byte) {
  static const char names[] = "nrtba";
  static const char bytes[] = "\n\r\t\b\a";
  if (quote == '\'' && *at != quote) return 0;
  if (quote == '"' && end - at >= 3 && *at == 'x' && hex_value(at[1]) >= 0 &&
      hex_value(at[2]) >= 0) {
    *byte = (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
    return 3;
  }
  const char *name = quote == '"' ? memchr(names, *at, sizeof names - 1) : NULL;
  *byte = name != NULL ? bytes[name - names] : *at;
  return 1;
}

/* Reads up to the quote that ends it, which a space or nothing must follow. *at stands behind the
 * quote that began it. */
static enum reading read_quoted(const char **at, const char *end, char quote, char *text,
                                size_t *length) {
  for (const char *here = *at; here < end;) {
    char byte = *here++;
    if (byte == quote) {
      *at = here;
      return here == end || is_space(*here) ? READING_DONE : READING_BAD;
    }
    if (byte == '\\' && here < end) here += read_escape(here, end, quote, &byte);
    if (text != NULL) text[*length] = byte;
    ++*length;
  }
  return READING_BAD;
}

/* Reads an argument, of which there is at least one byte; `text` may be NULL. A quote may begin in
 * the middle of it, and ends it. */
static enum reading read_word(const char **at, const char *end, char *text, size_t *length) {
  *length = 0;
  for (; *at < end; ++*at) {
    char byte = **at;
    if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t') break;
    if (byte == '"' || byte == '\'') {
      ++*at;
      return read_quoted(at, end, byte, text, length);
    }
    if (text != NULL) text[*length] = byte;
    ++*length;
  }
  return READING_DONE;
}

/* SHORT if there is no further argument. */
static enum reading read_inline(const char **at, const char *end, struct resp_argument *argument) {
  while (*at < end && is_space(**at)) ++*at;
  if (*at == end) return READING_SHORT;
  argument->raw.data = *at;
  enum reading reading = read_word(at, end, NULL, &argument->length);
  argument->raw.length = (size_t)(*at - argument->raw.data);
  return reading;
}

static void split_inline(const struct framing *framing, const char *bytes, size_t length,
                         struct framing_answer *answer) {
  struct resp_argument argument;
  size_t count = 0;
  size_t taken = 0;
  const char *at = bytes;
  enum reading reading;
  while ((reading = read_inline(&at, bytes + length, &argument)) == READING_DONE) {
    taken += argument.length;
    count++;
  }
  if (reading == READING_BAD)
    answer_malformed(answer, bad_quotes);
  else if (count > framing->option.resp.max_arguments)
    answer_too_large(answer, too_many);
  else if (taken > framing->max)
    answer_too_large(answer, too_much);
  else
    answer_request(bytes, length, count, answer);
}

static void decode_inline(const struct framing *framing, struct span bytes,
                          struct framing_progress *progress, struct framing_answer *answer) {
  size_t window = search_window(bytes.length, RESP_INLINE_MAX, 1);
  const char *feed = memchr(bytes.data + progress->seen, '\n', window - progress->seen);
  size_t length = feed != NULL ? (size_t)(feed - bytes.data) : window;
  if (length > RESP_INLINE_MAX)
    answer_too_large(answer, too_long);
  else if (feed == NULL)
    answer_partial(answer, progress, bytes.length + 1, bytes.length);
  else if (memchr(bytes.data, '\0', length) != NULL)
    answer_malformed(answer, bad_nul);
  else
    split_inline(framing, bytes.data, length + 1, answer);
}

void resp_decode(const struct framing *framing, const char *bytes, size_t length,
                 struct framing_progress *progress, struct framing_answer *answer) {
  struct span span = {bytes, length};
  if (length > 0 && *bytes == '*')
    decode_array(framing, span, progress, answer);
  else
    decode_inline(framing, span, progress, answer);
}

/* The cursor */

void resp_open(struct resp_cursor *cursor, struct span request) {
  *cursor = (struct resp_cursor){request.data, request.data + request.length, *request.data != '*'};
  if (!cursor->is_inline)
    while (*cursor->at++ != '\n') continue; /* the count has been read */
}

bool resp_next(struct resp_cursor *cursor, struct resp_argument *argument) {
  const char *why;
  if (cursor->is_inline) return read_inline(&cursor->at, cursor->end, argument) == READING_DONE;
  if (read_header(cursor->at, cursor->end, &argument->raw, &why) != READING_DONE) return false;
  argument->length = argument->raw.length;
  cursor->at = argument->raw.data + argument->raw.length + 2;
  return true;
}

void resp_unquote(const struct resp_argument *argument, char *text) {
  const char *at = argument->raw.data;
  size_t length;
  (void)read_word(&at, at + argument->raw.length, text, &length);
}
