#include "framing/http.h"

#include <stdint.h>
#include <string.h>

#include "framing/decoders.h"
#include "framing/http_lines.h"
#include "framing/http_target.h"

/* How `seen` is used, which is all that is remembered between two calls for one request:
 *   - In the head it is how far line feeds have been looked for: every line that ends before it is
 *     known to be sound. The byte before it is never a line feed.
 *   - In a chunked body it is where a chunk (its size line) begins, all before which is known to be
 *     sound: the byte before it is always a line feed. The lines behind the last chunk, no more
 *     than TRAILERS_MAX bytes, are looked at again for their end.
 *   - With a Content-Length, and while nothing of a chunked body is there, it is the last byte of
 * the head, which is read again when the body is there. What the header fields mean together is
 * judged when the head is whole, in one pass over it. So a head that comes in pieces is read twice,
 * and one that comes whole, once. */

/* The framing of a chunked body may take so many bytes more than the body may have. */
enum { CHUNK_ROOM = 16 * 1024 };

/* So many bytes may the lines behind the last chunk have; they are few, and read again and again
 * until the last one is there. */
enum { TRAILERS_MAX = 4096 };

/* What the header fields say together. */
struct head {
  struct http_request request;
  size_t length; /* with the empty line at its end */
  size_t count;  /* of fields */
  unsigned hosts, lengths, encodings;
  uint64_t body;
  bool is_chunked, is_coded; /* the last transfer coding is chunked; there is another one */
  bool closes, keeps;
  bool expects, has_unknown_expectation;
  const char *fault; /* of the first field that is sound by itself and yet cannot be */
};

/* ---- what fields mean ---------------------------------------------------------------------- */

static void set_fault(struct head *head, const char *why) {
  if (head->fault == NULL) head->fault = why;
}

/* RFC 9112, 6.2: digits, and nothing else. */
static void note_length(struct head *head, struct span value) {
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
    /* So large that it is over every limit. */
    head->body = head->body > (INT64_MAX - 9) / 10 ? INT64_MAX : head->body * 10 + digit;
  }
}

static void note_host(struct head *head, struct span value) {
  if (head->hosts++ > 0) set_fault(head, "400 more than one Host");
  if (!http_is_host(value)) set_fault(head, "400 Host is not a host with perhaps a port");
}

/* Whether it is one of those that mean something here. */
static bool note_option(struct head *head, struct span option) {
  bool closes = http_is_word(option, "close");
  bool keeps = !closes && http_is_word(option, "keep-alive");
  head->closes |= closes;
  head->keeps |= keeps;
  return closes || keeps;
}

/* Nearly always it is a single option. */
static void note_connection(struct head *head, struct span value) {
  struct span option;
  if (note_option(head, value)) return;
  while (http_next_element(&value, &option)) note_option(head, option);
}

/* RFC 9112, 6.1: chunked stands last, and once. */
static void note_encoding(struct head *head, struct span value) {
  struct span coding;
  if (head->encodings++ > 0) set_fault(head, "400 more than one Transfer-Encoding");
  while (http_next_element(&value, &coding)) {
    if (head->is_chunked) set_fault(head, "400 chunked is not the last Transfer-Encoding");
    head->is_chunked = http_is_word(coding, "chunked");
    if (!head->is_chunked) head->is_coded = true;
  }
}

/* RFC 9110, 10.1.1. */
static void note_expectation(struct head *head, struct span value) {
  struct span expectation;
  while (http_next_element(&value, &expectation)) {
    if (http_is_word(expectation, "100-continue"))
      head->expects = true;
    else
      head->has_unknown_expectation = true;
  }
}

static void note_field(struct head *head, const struct http_field *field) {
  head->count++;
  switch (field->name.length) {
  case 4:
    if (http_is_word(field->name, "host")) note_host(head, field->value);
    break;
  case 6:
    if (http_is_word(field->name, "expect")) note_expectation(head, field->value);
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

/* RFC 9112, 3.2 and 6.1 to 6.3. */
static const char *judge_head(const struct head *head) {
  if (head->fault != NULL) return head->fault;
  if (head->hosts == 0 && head->request.minor > 0) return "400 Host is missing";
  if (head->encodings > 0) {
    if (head->lengths > 0) return "400 both Content-Length and Transfer-Encoding";
    if (head->request.minor == 0) return "400 Transfer-Encoding in HTTP/1.0";
    if (!head->is_chunked) return "400 the last Transfer-Encoding is not chunked";
    if (head->is_coded) return "501 a Transfer-Encoding besides chunked";
  }
  /* To HTTP/1.0 the field means nothing. */
  if (head->has_unknown_expectation && head->request.minor > 0)
    return "417 an expectation other than 100-continue";
  return NULL;
}

/* ---- the head ------------------------------------------------------------------------------ */

/* A request may have one empty line before it (RFC 9112, 2.2). */
static size_t request_start(const char *bytes, size_t length) {
  return length >= 2 && bytes[0] == '\r' && bytes[1] == '\n' ? 2 : 0;
}

/* What can be said before there is a line: that this is another protocol. */
static bool is_no_request(const char *bytes, size_t length) {
  size_t start = request_start(bytes, length);
  if (length == 0 || length == start || (length == 1 && bytes[0] == '\r')) return false;
  return !http_is_token_byte(bytes[start]);
}

enum progress { WHOLE, UNFINISHED, UNSOUND, EXCESSIVE };

/* The line at bytes[at..length), in which no line feed stands before `from`. *why only if UNSOUND.
 */
static enum progress find_line(const char *bytes, size_t length, size_t at, size_t from,
                               struct span *line, const char **why) {
  const char *feed = memchr(bytes + from, '\n', length - from);
  if (feed == NULL) return UNFINISHED;
  *line = (struct span){bytes + at, (size_t)(feed - (bytes + at))};
  if (line->length > 0 && feed[-1] == '\r') {
    line->length--;
    return WHOLE;
  }
  *why = "400 a line feed without a carriage return";
  return UNSOUND;
}

static enum progress soundness(const char *why) { return why == NULL ? WHOLE : UNSOUND; }

/* Reads it from its first byte. */
static enum progress read_head(const char *bytes, size_t length, struct head *head,
                               const char **why) {
  struct span line;
  size_t at = request_start(bytes, length);
  *head = (struct head){.length = 0};
  enum progress progress = find_line(bytes, length, at, at, &line, why);
  if (progress != WHOLE) return progress;
  *why = http_read_request_line(line, &head->request);
  at += line.length + 2;
  head->request.fields.data = bytes + at;
  while (*why == NULL) {
    struct http_field field;
    progress = find_line(bytes, length, at, at, &line, why);
    if (progress != WHOLE) return progress;
    if (line.length == 0) break;
    *why = http_read_field(line, &field);
    if (*why == NULL) note_field(head, &field);
    at += line.length + 2;
  }
  head->request.fields.length = (size_t)(bytes + at - head->request.fields.data);
  head->length = at + 2;
  return soundness(*why);
}

/* Looks only at the lines that have got complete since `seen`. */
static enum progress go_on_in_head(const char *bytes, size_t length, size_t seen,
                                   const char **why) {
  size_t start = request_start(bytes, length);
  if (memchr(bytes + seen, '\n', length - seen) == NULL) return UNFINISHED;
  const char *feed = memrchr(bytes, '\n', seen);
  size_t at = feed == NULL ? 0 : (size_t)(feed - bytes) + 1;
  for (size_t from = seen;; from = at) {
    struct span line;
    struct http_request request;
    struct http_field field;
    enum progress progress = find_line(bytes, length, at, from, &line, why);
    if (progress != WHOLE) return progress;
    if (line.length == 0 && at > start) return WHOLE;
    if (at == start)
      *why = http_read_request_line(line, &request);
    else if (at > start)
      *why = http_read_field(line, &field);
    if (*why != NULL) return UNSOUND;
    at += line.length + 2;
  }
}

static void answer_unfinished_head(const char *bytes, size_t length, size_t max_head,
                                   struct framing_result *result) {
  size_t start = request_start(bytes, length);
  if (length < max_head)
    answer_partial(result, length + 1, bytes[length - 1] == '\n' ? length - 1 : length);
  else if (start > max_head || memchr(bytes + start, '\n', max_head - start) == NULL)
    answer_too_large(result, "414 the request line is longer than a head may be");
  else
    answer_too_large(result, "431 the head is longer than allowed");
}

/* ---- chunked bodies ------------------------------------------------------------------------ */

/* Reads what stands behind the last chunk, from bytes[at] on (RFC 9112, 7.1.2). *end is behind it
 * all when WHOLE. The lines themselves are looked at only when the last of them is there. */
static enum progress find_trailer_end(const char *bytes, size_t length, size_t at, size_t *end,
                                      const char **why) {
  for (;;) {
    struct span line;
    enum progress progress = find_line(bytes, length, at, at, &line, why);
    if (progress != WHOLE) return progress;
    at += line.length + 2;
    if (line.length > 0) continue;
    *end = at;
    return WHOLE;
  }
}

static enum progress read_trailers(const struct framing *framing, const char *bytes, size_t length,
                                   size_t at, size_t *end, const char **why) {
  struct http_field field;
  struct span line;
  enum progress progress = find_trailer_end(bytes, length, at, end, why);
  if (progress != WHOLE) return progress;
  *why = NULL;
  for (size_t count = 0; *why == NULL; count++) {
    if (find_line(bytes, *end, at, at, &line, why) != WHOLE || line.length == 0) return WHOLE;
    if (count == framing->option.http.max_headers) return EXCESSIVE;
    *why = http_read_field(line, &field);
    at += line.length + 2;
  }
  return UNSOUND;
}

/* The head's part of the answer. No head is so long that a length in it would not fit. */
static void note_request(const struct head *head, struct framing_result *result) {
  result->lengths.method = (uint32_t)head->request.method.length;
  result->lengths.target = (uint32_t)head->request.target.length;
  if ((head->request.minor > 0 || head->keeps) && !head->closes) result->note |= HTTP_KEEP_ALIVE;
  if (head->expects && head->request.minor > 0) result->note |= HTTP_EXPECTS;
}

/* The whole of the chunks is there, and sound; what is left to know is how much data they have. */
static void finish_chunks(const struct framing *framing, const char *bytes, size_t length,
                          struct framing_result *result) {
  struct head head;
  const char *why;
  read_head(bytes, length, &head, &why);
  struct span rest = {bytes + head.length, length - head.length}, data;
  size_t body = 0;
  while (http_next_chunk(&rest, &data)) body += data.length;
  if (body > framing->max) {
    answer_too_large(result, "413 the body is larger than allowed");
    return;
  }
  answer_complete(result, bytes + head.length, length - head.length, length);
  result->note = HTTP_CHUNKED;
  note_request(&head, result);
}

/* bytes[at] is where the last chunk begins, and bytes[trailers] where it ends. */
static void decode_trailers(const struct framing *framing, const char *bytes, size_t length,
                            size_t at, size_t trailers, struct framing_result *result) {
  const char *why;
  size_t end, max = framing->option.http.max_head;
  if (max > TRAILERS_MAX) max = TRAILERS_MAX;
  bool is_cut = length - trailers >= max;
  switch (read_trailers(framing, bytes, is_cut ? trailers + max : length, trailers, &end, &why)) {
  case WHOLE: finish_chunks(framing, bytes, end, result); break;
  case UNSOUND: answer_malformed(result, why); break;
  case EXCESSIVE: answer_too_large(result, "431 more trailer fields than allowed"); break;
  case UNFINISHED:
    if (is_cut)
      answer_too_large(result, "431 the trailers are longer than allowed");
    else
      answer_partial(result, length + 1, at);
  }
}

/* So many bytes may a frame have up to the end of a chunk. How much data stood in the chunks before
 * cannot be remembered, so it is added up at the end; this keeps what is buffered until then within
 * bounds. */
static size_t chunk_limit(const struct framing *framing) {
  static const size_t most = FRAME_MAX - ((size_t)1 << 32); /* no sum with it overflows */
  if (framing->max > most / 4) return most;
  return framing->option.http.max_head + 2 * framing->max + CHUNK_ROOM;
}

/* Reads from bytes[at] on, where a chunk begins (RFC 9112, 7.1). */
static void decode_chunks(const struct framing *framing, const char *bytes, size_t length,
                          size_t at, struct framing_result *result) {
  size_t limit = chunk_limit(framing);
  for (;;) {
    struct http_chunk_line line;
    const char *why = http_read_chunk_line((struct span){bytes + at, length - at}, &line);
    if (why != NULL) {
      answer_malformed(result, why);
      return;
    }
    if (line.length == 0) {
      if (length - at < HTTP_CHUNK_LINE_MAX)
        answer_partial(result, length + 1, at);
      else
        answer_too_large(result, "413 the extensions of a chunk are longer than allowed");
      return;
    }
    size_t data = at + line.length;
    if (line.size == 0) {
      decode_trailers(framing, bytes, length, at, data, result);
      return;
    }
    if (line.size > framing->max || data > limit || line.size > limit - data) {
      answer_too_large(result, "413 the body is larger than allowed");
      return;
    }
    size_t end = data + line.size;
    if ((length > end && bytes[end] != '\r') || (length > end + 1 && bytes[end + 1] != '\n')) {
      answer_malformed(result, "400 no CR LF behind the data of a chunk");
      return;
    }
    if (length < end + 2) {
      answer_partial(result, length > end ? end + 2 : end + 1, at);
      return;
    }
    at = end + 2;
  }
}

/* ---- requests ------------------------------------------------------------------------------ */

/* The head is whole and sound, a body is to follow, and nothing of it is there. In HTTP/1.0 nobody
 * waits (RFC 9110, 10.1.1). */
static void answer_head_alone(struct framing_result *result, const struct head *head,
                              size_t needed) {
  answer_partial(result, needed, head->length - 1);
  if (head->expects && head->request.minor > 0) result->interim = "HTTP/1.1 100 Continue\r\n\r\n";
}

/* The head is whole. */
static void decode_body(const struct framing *framing, const char *bytes, size_t length,
                        const struct head *head, struct framing_result *result) {
  const char *why = judge_head(head);
  if (head->count > framing->option.http.max_headers) {
    answer_too_large(result, "431 more header fields than allowed");
  } else if (why != NULL) {
    answer_malformed(result, why);
  } else if (head->is_chunked && length > head->length) {
    decode_chunks(framing, bytes, length, head->length, result);
  } else if (head->is_chunked) {
    answer_head_alone(result, head, length + 1);
  } else if (head->body > framing->max || head->body > FRAME_MAX - head->length) {
    answer_too_large(result, "413 the body is larger than allowed");
  } else if (length == head->length && head->body > 0) {
    answer_head_alone(result, head, length + (size_t)head->body);
  } else if (length - head->length < head->body) {
    answer_partial(result, head->length + (size_t)head->body, head->length - 1);
  } else {
    answer_complete(result, bytes + head->length, (size_t)head->body,
                    head->length + (size_t)head->body);
    note_request(head, result);
  }
}

void http_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                 struct framing_result *result) {
  struct head head;
  const char *why = NULL;
  enum progress progress = WHOLE;
  if (length == 0) {
    answer_partial(result, 1, 0);
    return;
  }
  if (is_no_request(bytes, length)) {
    answer_malformed(result, "400 this does not begin as a request does");
    return;
  }
  if (seen > 0 && bytes[seen - 1] == '\n') {
    decode_chunks(framing, bytes, length, seen, result);
    return;
  }
  size_t max_head = framing->option.http.max_head;
  size_t window = length < max_head ? length : max_head;
  if (seen > 0) progress = go_on_in_head(bytes, window, seen, &why);
  if (progress == WHOLE) progress = read_head(bytes, window, &head, &why);
  switch (progress) {
  case WHOLE: decode_body(framing, bytes, length, &head, result); break;
  case UNSOUND: answer_malformed(result, why); break;
  default: answer_unfinished_head(bytes, length, max_head, result); break;
  }
}

/* ---- reading what was decoded -------------------------------------------------------------- */

void http_read_request(const struct framing_result *result, struct http_request *request) {
  const char *body = result->payload.data;
  const char *at = body + result->payload.length - result->length;
  at += request_start(at, result->length);
  request->method = (struct span){at, result->lengths.method};
  at += request->method.length + 1;
  request->target = (struct span){at, result->lengths.target};
  at += request->target.length + sizeof " HTTP/1.1" - 1;
  request->minor = at[-1] != '0';
  at += 2;
  request->fields = (struct span){at, (size_t)(body - at) - 2};
}

void http_read_head(const char *bytes, size_t length, struct framing_result *result) {
  struct head head;
  const char *why;
  read_head(bytes, length, &head, &why);
  answer_complete(result, bytes + head.length, 0, head.length);
  note_request(&head, result);
}

bool http_next_element(struct span *list, struct span *element) {
  const char *at = list->data, *end = list->data + list->length;
  while (at < end && (*at == ',' || *at == ' ' || *at == '\t')) at++;
  const char *start = at;
  for (bool is_quoted = false; at < end && (is_quoted || *at != ','); at++) {
    if (*at == '"') is_quoted = !is_quoted;
    if (*at == '\\' && is_quoted && at + 1 < end) at++;
  }
  *list = (struct span){at, (size_t)(end - at)};
  while (at > start && (at[-1] == ' ' || at[-1] == '\t')) at--;
  *element = (struct span){start, (size_t)(at - start)};
  return at > start;
}

bool http_next_field(struct span *fields, struct http_field *field) {
  struct span line;
  const char *why;
  if (find_line(fields->data, fields->length, 0, 0, &line, &why) != WHOLE) return false;
  fields->data += line.length + 2;
  fields->length -= line.length + 2;
  return http_read_field(line, field) == NULL;
}

bool http_next_chunk(struct span *body, struct span *data) {
  struct http_chunk_line line;
  http_read_chunk_line(*body, &line);
  if (line.size == 0) return false;
  *data = (struct span){body->data + line.length, line.size};
  body->data = data->data + line.size + 2;
  body->length -= line.length + line.size + 2;
  return true;
}
