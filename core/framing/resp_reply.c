/* progress->seen is the start of the first value that is not complete, and progress->arguments says
 * how many values begin there: an array adds its items to them. In a simple string or an error the
 * search for the end of the line goes on. */
#include "framing/resp_reply.h"

#include <assert.h>
#include <string.h>

#include "framing/decoders.h"
#include "framing/resp.h"

/* The longest line with a number, without its CR LF: "-9223372036854775808". */
enum { DIGITS_MAX = 20 };

static const char *const bad_type = "Protocol error: a reply begins with none of + - : $ *";
static const char *const bad_line = "Protocol error: a line does not end with CR LF alone";
static const char *const bad_integer = "Protocol error: invalid integer";
static const char *const bad_bulk = "Protocol error: invalid bulk length";
static const char *const bad_count = "Protocol error: invalid multibulk length";
static const char *const bad_end = "Protocol error: expected CRLF behind the string";

/* ---- one value ----------------------------------------------------------------------------- */

/* Reads the line behind the type, without its CR LF. `searched` bytes of it are known to hold no
 * line feed. If *line has more than `max` bytes, it may be longer still. */
static enum reading read_line(const char *at, const char *end, size_t max, size_t searched,
                              struct span *line) {
  size_t there = search_window((size_t)(end - at), max, 2);
  const char *feed = there > searched ? memchr(at + searched, '\n', there - searched) : NULL;
  *line = (struct span){at, feed != NULL ? (size_t)(feed - at) : there};
  bool has_return = line->length > 0 && at[line->length - 1] == '\r';
  if (has_return) line->length--;
  if (feed == NULL) return READING_SHORT;
  return has_return && memchr(at, '\r', line->length) == NULL ? READING_DONE : READING_BAD;
}

/* Reads an integer as Redis writes it: no leading zeros. */
static bool read_integer(struct span line, int64_t *number) {
  const char *at = line.data, *end = line.data + line.length;
  uint64_t value = 0;
  bool is_negative = at < end && *at == '-';
  const uint64_t max = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
  if (is_negative) at++;
  if (at == end || (*at == '0' && (end - at > 1 || is_negative))) return false;
  for (; at < end; at++) {
    unsigned digit = (unsigned char)*at - (unsigned)'0';
    if (digit > 9 || value > (max - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *number = is_negative ? -(int64_t)(value - 1) - 1 : (int64_t)value;
  return true;
}

/* Reads the number behind the type, at least `min`. */
static enum reading read_number(const char *at, const char *end, int64_t min, struct span *line,
                                int64_t *number) {
  enum reading reading = read_line(at, end, DIGITS_MAX, 0, line);
  if (line->length > DIGITS_MAX) return READING_BAD;
  if (reading != READING_DONE) return reading;
  return read_integer(*line, number) && *number >= min ? READING_DONE : READING_BAD;
}

/* What was read of a value. */
struct part {
  size_t length;   /* DONE: bytes of the value; of an array without its items. SHORT: so many bytes
                    * of it must be there; 0: the next byte. */
  size_t searched; /* SHORT: so many bytes behind the type hold no line feed. */
  const char *why; /* BAD. */
};

static enum reading read_simple(const char *at, const char *end, size_t searched,
                                struct resp_value *value, struct part *part) {
  enum reading reading = read_line(at + 1, end, RESP_INLINE_MAX, searched, &value->text);
  value->type = *at == '+' ? RESP_STRING : RESP_ERROR;
  part->length = reading == READING_DONE ? value->text.length + 3 : 0;
  part->searched = value->text.length;
  part->why = bad_line;
  return reading;
}

static enum reading read_bulk(const char *at, const char *end, struct resp_value *value,
                              struct part *part) {
  struct span line;
  enum reading reading = read_number(at + 1, end, -1, &line, &value->number);
  part->why = bad_bulk;
  if (reading != READING_DONE) return reading;
  value->type = value->number < 0 ? RESP_NULL : RESP_STRING;
  part->length = line.length + 3;
  if (value->number < 0) return READING_DONE;
  if (value->number > (int64_t)RESP_BULK_MAX) return READING_BAD;
  size_t length = (size_t)value->number;
  const char *text = at + part->length;
  value->text = (struct span){text, length};
  part->why = bad_end;
  size_t there = (size_t)(end - text);
  if (there > length && text[length] != '\r') return READING_BAD;
  if (there > length + 1 && text[length + 1] != '\n') return READING_BAD;
  part->length += there > length ? length + 2 : length + 1;
  return there < length + 2 ? READING_SHORT : READING_DONE;
}

static enum reading read_counted(const char *at, const char *end, struct resp_value *value,
                                 struct part *part) {
  struct span line;
  bool is_array = *at == '*';
  enum reading reading = read_number(at + 1, end, is_array ? -1 : INT64_MIN, &line, &value->number);
  value->type = is_array ? RESP_ARRAY : RESP_INTEGER;
  part->why = is_array ? bad_count : bad_integer;
  if (reading != READING_DONE) return reading;
  if (is_array && value->number < 0) value->type = RESP_NULL;
  part->length = line.length + 3;
  return READING_DONE;
}

/* Reads the value at `at`, of an array its first line. */
static enum reading read_value(const char *at, const char *end, size_t searched,
                               struct resp_value *value, struct part *part) {
  *value = (struct resp_value){.type = RESP_NULL};
  *part = (struct part){.length = 0};
  if (at == end) return READING_SHORT;
  switch (*at) {
  case '+':
  case '-': return read_simple(at, end, searched, value, part);
  case '$': return read_bulk(at, end, value, part);
  case ':':
  case '*': return read_counted(at, end, value, part);
  default: part->why = bad_type; return READING_BAD;
  }
}

void resp_reply_next(struct resp_reply_cursor *cursor, struct resp_value *value) {
  struct part part;
  enum reading reading = read_value(cursor->at, cursor->end, 0, value, &part);
  assert(reading == READING_DONE); /* The decoder has checked it. */
  (void)reading;
  cursor->at += part.length;
}

/* ---- a reply ------------------------------------------------------------------------------- */

/* Counts the values of a whole reply; 0: its arrays lie too deep in each other. */
static size_t count_values(const char *bytes, const char *end) {
  int64_t left[RESP_DEPTH_MAX];
  size_t depth = 0, count = 0;
  struct resp_reply_cursor cursor = {bytes, end};
  do {
    struct resp_value value;
    resp_reply_next(&cursor, &value);
    count++;
    if (depth > 0) left[depth - 1]--;
    if (value.type == RESP_ARRAY) {
      if (depth == RESP_DEPTH_MAX) return 0;
      left[depth++] = value.number;
    }
    while (depth > 0 && left[depth - 1] == 0) depth--;
  } while (depth > 0);
  return count;
}

static void answer_reply(const struct framing *framing, const char *bytes, size_t length,
                         struct framing_answer *answer) {
  size_t count = *bytes == '*' ? count_values(bytes, bytes + length) : 1;
  if (count == 0) {
    answer_too_large(answer, "the arrays of the reply lie too deep in each other");
  } else if (count > framing->option.resp.max_arguments) {
    answer_too_large(answer, "the reply has more values than allowed");
  } else {
    answer_complete(answer, bytes, length, length);
    answer->arguments = (uint32_t)count;
  }
}

/* Whether a string, as far as it is known, is longer than `max`, or as a line than a line may be.
 */
static bool is_too_long(const struct span *text, char type, size_t max) {
  if (type != '$' && max > RESP_INLINE_MAX) max = RESP_INLINE_MAX;
  return text->length > max;
}

/* The value that begins at `seen` is not whole. */
static void answer_unfinished(size_t length, size_t seen, size_t left, const struct part *part,
                              struct framing_progress *progress, struct framing_answer *answer) {
  size_t needed = seen + part->length;
  answer_partial(answer, progress, needed > length ? needed : length + 1, seen);
  progress->arguments = (uint32_t)left;
  progress->line = (uint32_t)part->searched;
}

void resp_reply_decode(const struct framing *framing, const char *bytes, size_t length,
                       struct framing_progress *progress, struct framing_answer *answer) {
  size_t at = progress->seen, searched = progress->line;
  size_t left = at > 0 ? progress->arguments : 1;
  for (; left > 0; searched = 0) {
    struct resp_value value;
    struct part part;
    enum reading reading = read_value(bytes + at, bytes + length, searched, &value, &part);
    if (value.text.length > 0 &&
        is_too_long(&value.text, bytes[at], framing->max - progress->taken)) {
      answer_too_large(answer, "the strings of the reply are larger than allowed");
      return;
    }
    if (reading == READING_BAD) {
      answer_malformed(answer, part.why);
      return;
    }
    if (reading == READING_SHORT) {
      answer_unfinished(length, at, left, &part, progress, answer);
      return;
    }
    at += part.length;
    left--;
    progress->taken += value.text.length;
    if (value.type != RESP_ARRAY) continue;
    if ((uint64_t)value.number + left > framing->option.resp.max_arguments) {
      answer_too_large(answer, "the reply has more values than allowed");
      return;
    }
    left += (size_t)value.number;
  }
  answer_reply(framing, bytes, at, answer);
}
