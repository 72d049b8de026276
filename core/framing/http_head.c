#include "framing/http_head.h"

#include <string.h>

#include "framing/http_lines.h"
#include "framing/http_target.h"

/* ---- what fields mean ---------------------------------------------------------------------- */

static void set_fault(struct http_head *head, const char *why) {
  if (head->fault == NULL) head->fault = why;
}

/* RFC 9112, 6.2: digits, and nothing else. */
static void note_length(struct http_head *head, struct span value) {
  if (head->lengths++ > 0) set_fault(head, "400 more than one Content-Length");
  if (value.length == 0) set_fault(head, "400 Content-Length is empty");
  head->body = 0;
  for (size_t i = 0; i < value.length; i++) {
    unsigned digit = (unsigned char)value.data[i] - (unsigned)'0';
    if (digit > 9) {
      set_fault(head, value.data[i] == ',' ? "400 Content-Length is a list"
                                           : "400 Content-Length is not a plain decimal number");
      return;
    }
    /* A number that does not fit becomes one that is over every limit. */
    head->body = head->body > (INT64_MAX - 9) / 10 ? INT64_MAX : head->body * 10 + digit;
  }
}

static void note_host(struct http_head *head, struct span value) {
  if (head->hosts++ > 0) set_fault(head, "400 more than one Host");
  if (!http_is_host(value)) set_fault(head, "400 Host is not a host with perhaps a port");
}

/* Returns whether the option has a meaning here. */
static bool note_option(struct http_head *head, struct span option) {
  bool closes = http_is_word(option, "close");
  bool keeps = !closes && http_is_word(option, "keep-alive");
  head->closes |= closes;
  head->keeps |= keeps;
  return closes || keeps;
}

/* Nearly every Connection field is a single option. */
static void note_connection(struct http_head *head, struct span value) {
  struct span option;
  if (note_option(head, value)) return;
  while (http_next_element(&value, &option)) note_option(head, option);
}

/* RFC 9112, 6.1: chunked must be the last coding, and occur once. */
static void note_encoding(struct http_head *head, struct span value) {
  struct span coding;
  if (head->encodings++ > 0) set_fault(head, "400 more than one Transfer-Encoding");
  while (http_next_element(&value, &coding)) {
    if (head->is_chunked) set_fault(head, "400 chunked is not the last Transfer-Encoding");
    head->is_chunked = http_is_word(coding, "chunked");
    if (!head->is_chunked) head->is_coded = true;
  }
}

/* RFC 9110, 10.1.1. */
static void note_expectation(struct http_head *head, struct span value) {
  struct span expectation;
  while (http_next_element(&value, &expectation)) {
    if (http_is_word(expectation, "100-continue"))
      head->expects = true;
    else
      head->has_unknown_expectation = true;
  }
}

static void note_field(enum framing_kind kind, struct http_head *head,
                       const struct http_field *field) {
  bool is_request = kind == FRAMING_HTTP;
  head->count++;
  switch (field->name.length) {
  case 4:
    if (is_request && http_is_word(field->name, "host")) note_host(head, field->value);
    break;
  case 6:
    if (is_request && http_is_word(field->name, "expect")) note_expectation(head, field->value);
    break;
  case 10:
    if (http_is_word(field->name, "connection")) note_connection(head, field->value);
    break;
  case 14:
    if (http_is_word(field->name, "content-length")) note_length(head, field->value);
    break;
  case 17:
    if (http_is_word(field->name, "transfer-encoding")) note_encoding(head, field->value);
    break;
  default: break;
  }
}

/* ---- the head ------------------------------------------------------------------------------ */

static const char *read_first_line(enum framing_kind kind, struct span line,
                                   struct http_head *head) {
  if (kind == FRAMING_HTTP_RESPONSE) return http_read_status_line(line, &head->response);
  return http_read_request_line(line, &head->request);
}

enum reading http_head_read(enum framing_kind kind, const char *bytes, size_t length,
                            struct http_head *head, const char **why) {
  struct span line;
  size_t at = http_head_start(kind, bytes, length);
  *head = (struct http_head){.length = 0};
  enum reading reading = http_find_line(bytes, length, at, at, &line, why);
  if (reading != READING_DONE) return reading;
  *why = read_first_line(kind, line, head);
  head->minor = kind == FRAMING_HTTP ? head->request.minor : head->response.minor;
  at += line.length + 2;
  while (*why == NULL) {
    struct http_field field;
    reading = http_find_line(bytes, length, at, at, &line, why);
    if (reading != READING_DONE) return reading;
    if (line.length == 0) break;
    *why = http_read_field(line, &field);
    if (*why == NULL) note_field(kind, head, &field);
    at += line.length + 2;
  }
  head->length = at + 2;
  return *why == NULL ? READING_DONE : READING_BAD;
}

/* Checks the lines that end behind the first `seen` bytes. DONE: the head is whole. */
static enum reading check_new_lines(enum framing_kind kind, const char *bytes, size_t length,
                                    size_t seen, const char **why) {
  size_t start = http_head_start(kind, bytes, length);
  if (memchr(bytes + seen, '\n', length - seen) == NULL) return READING_SHORT;
  const char *feed = memrchr(bytes, '\n', seen);
  size_t at = feed == NULL ? start : (size_t)(feed - bytes) + 1;
  for (size_t from = at > seen ? at : seen;; from = at) {
    struct span line;
    struct http_head head;
    struct http_field field;
    enum reading reading = http_find_line(bytes, length, at, from, &line, why);
    if (reading != READING_DONE) return reading;
    if (at > start && line.length == 0) return READING_DONE;
    if (at == start)
      *why = read_first_line(kind, line, &head);
    else
      *why = http_read_field(line, &field);
    if (*why != NULL) return READING_BAD;
    at += line.length + 2;
  }
}

enum reading http_head_read_on(enum framing_kind kind, const char *bytes, size_t length,
                               const struct framing_progress *progress, struct http_head *head,
                               const char **why) {
  enum reading reading = READING_DONE;
  if (progress->stage == HTTP_HEAD && progress->seen > 0)
    reading = check_new_lines(kind, bytes, length, progress->seen, why);
  return reading == READING_DONE ? http_head_read(kind, bytes, length, head, why) : reading;
}
