/* In an array, progress->seen is the start of the first argument that is not complete. The next
 * call reads the "*3\r\n" at the front and the "$5\r\n" of that argument again, at most some 40
 * bytes. In an inline request, the search for the line feed goes on at progress->seen. */
#include "framing/resp.h"

#include <string.h>

#include "framing/decoders.h"

/* The smallest argument: "$0\r\n\r\n". */
enum { ARGUMENT_SIZE_MIN = 6 };

static const char *const bad_type = "Protocol error: expected '$'";
static const char *const bad_byte = "Protocol error: expected '$', got no printable byte";
static const char *const bad_length = "Protocol error: invalid bulk length";
static const char *const too_many = "the request has more arguments than allowed";
static const char *const too_much = "the arguments are larger than allowed";

/* ---- arrays -------------------------------------------------------------------------------- */

/* Reads a decimal number of at most `max` and the CRLF behind it, and moves *at behind both. Like
 * Redis it refuses a plus sign and leading zeros. Unlike Redis it checks the line feed. */
static enum reading read_number(const char **at, const char *end, uint64_t max, uint64_t *number) {
  const char *digit = *at;
  uint64_t value = 0;
  for (; digit < end; digit++) {
    unsigned figure = (unsigned char)*digit - (unsigned)'0';
    if (figure > 9) break;
    if (value == 0 && digit > *at) return READING_BAD;
    if (value > max / 10) return READING_BAD; /* The next line cannot overflow. */
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

/* Reads "*3\r\n" from the '*' at *at. A count below zero means no arguments, as in Redis. */
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

/* Reads the "5\r\n" or "16\r\n" that nearly every argument has; false if it is anything else. At
 * least ARGUMENT_SIZE_MIN - 1 bytes have arrived, so it needs no further check of the length. */
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

/* Reads "$5\r\n", and gives the place and the length of the argument behind it. */
static inline enum reading read_header(const char *at, const char *end, struct span *body,
                                       const char **why) {
  if (end - at >= ARGUMENT_SIZE_MIN && *at == '$' && read_short_length(at + 1, body))
    return READING_DONE;
  return read_any_header(at, end, body, why);
}

/* Checks that the body and the CRLF behind it have arrived. */
static enum reading read_body(const struct span *body, const char *end) {
  size_t there = (size_t)(end - body->data);
  if (there > body->length && body->data[body->length] != '\r') return READING_BAD;
  if (there < body->length + 2) return READING_SHORT;
  return body->data[body->length + 1] == '\n' ? READING_DONE : READING_BAD;
}

struct array {
  struct span bytes;
  const char *at; /* The argument that is read next. */
  size_t left;    /* How many arguments begin there. */
  size_t taken;   /* Bytes of the arguments before it. */
};

/* Asks for bytes up to the next one that can be wrong: a wrong byte must be found when it comes.
 * That is the nth byte of the argument that is read next, or the next byte at all if that has
 * arrived. */
static void answer_array_partial(const struct array *array, size_t nth,
                                 struct framing_progress *progress, struct framing_answer *answer) {
  size_t seen = (size_t)(array->at - array->bytes.data);
  size_t more = array->bytes.length + 1;
  answer_partial(answer, progress, seen + nth > more ? seen + nth : more, seen);
  progress->arguments = (uint32_t)array->left;
  progress->taken = array->taken;
}

/* Like Redis, names the byte in the place of a '$' if it can be printed. */
static void answer_bad_argument(struct framing_answer *answer, const char *why, char got) {
  bool is_named = why == bad_type && got >= ' ' && got <= '~';
  answer_malformed(answer, why == bad_type && !is_named ? bad_byte : why);
  if (is_named) answer->got = got;
}

/* Reads the arguments; if they are not all there, answers and returns false. */
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
      why = "Protocol error: expected CRLF behind the argument";
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
    answer_malformed(answer, "Protocol error: invalid multibulk length");
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

/* ---- inline requests -----------------------------------------------------------------------
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands,
 * with quotes as Redis reads them (sdssplitargs in its sds.c). */

static bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit = (char)(digit | 0x20);
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Reads the rest of an escape behind its backslash, and returns the length of the rest. In single
 * quotes only a single quote can be escaped; 0: the backslash stands for itself. */
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

/* Reads from behind the opening quote at *at to behind the closing one, which a space or the end
 * must follow. */
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

/* Reads an argument of at least one byte. `text` may be NULL. Quotes may begin in the middle of the
 * argument, and the argument ends with them. */
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

/* Reads the next argument. SHORT: there is none. */
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
    answer_malformed(answer, "Protocol error: unbalanced quotes in request");
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
    answer_too_large(answer, "Protocol error: too big inline request");
  else if (feed == NULL)
    answer_partial(answer, progress, bytes.length + 1, bytes.length);
  else if (memchr(bytes.data, '\0', length) != NULL)
    answer_malformed(answer, "Protocol error: NUL in an inline request");
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

/* ---- the cursor ---------------------------------------------------------------------------- */

void resp_open(struct resp_cursor *cursor, struct span request) {
  *cursor = (struct resp_cursor){request.data, request.data + request.length, *request.data != '*'};
  if (!cursor->is_inline)
    while (*cursor->at++ != '\n') continue; /* The decoder has checked the count. */
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
