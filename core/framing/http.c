#include "framing/http.h"

#include <stdint.h>
#include <string.h>

#include "framing/decoders.h"
#include "framing/http_bytes.h"
#include "framing/http_lines.h"
#include "framing/http_target.h"

/* A head that arrives in pieces is read twice: each line when it is complete, to refuse it early,
 * and all lines when the head is whole, for what they mean together. A whole head is read once. */

/* Bytes that the lines of chunks may add to a body, besides the size of the body itself. */
enum { CHUNK_ROOM = 16 * 1024 };

/* The most bytes of trailers. They are few, so every call reads them again until they are whole. */
enum { TRAILERS_MAX = 4096 };

/* What the request line and the header fields say together. */
struct head {
  struct http_request request;
  size_t length;      /* Bytes, with the empty line at the end. */
  size_t count;       /* How many header fields there are. */
  unsigned hosts;     /* How many of them are Host, ... */
  unsigned lengths;   /* ... Content-Length, ... */
  unsigned encodings; /* ... and Transfer-Encoding. */
  uint64_t body;      /* What Content-Length says. */
  bool is_chunked;    /* The last transfer coding is chunked. */
  bool is_coded;      /* There is a transfer coding besides chunked. */
  bool closes;        /* Connection has the option close. */
  bool keeps;         /* Connection has the option keep-alive. */
  bool expects;       /* Expect has 100-continue. */
  bool has_unknown_expectation;
  const char *fault; /* Why the first field that cannot be accepted is refused; NULL: none is. */
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
    /* A number that does not fit becomes one that is over every limit. */
    head->body = head->body > (INT64_MAX - 9) / 10 ? INT64_MAX : head->body * 10 + digit;
  }
}

static void note_host(struct head *head, struct span value) {
  if (head->hosts++ > 0) set_fault(head, "400 more than one Host");
  if (!http_is_host(value)) set_fault(head, "400 Host is not a host with perhaps a port");
}

/* Returns whether the option has a meaning here. */
static bool note_option(struct head *head, struct span option) {
  bool closes = http_is_word(option, "close");
  bool keeps = !closes && http_is_word(option, "keep-alive");
  head->closes |= closes;
  head->keeps |= keeps;
  return closes || keeps;
}

/* Nearly every Connection field is a single option. */
static void note_connection(struct head *head, struct span value) {
  struct span option;
  if (note_option(head, value)) return;
  while (http_next_element(&value, &option)) note_option(head, option);
}

/* RFC 9112, 6.1: chunked must be the last coding, and occur once. */
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
  /* In HTTP/1.0 the field has no meaning. */
  if (head->has_unknown_expectation && head->request.minor > 0)
    return "417 an expectation other than 100-continue";
  return NULL;
}

/* ---- the head ------------------------------------------------------------------------------ */

/* Where the request begins: one empty line may come before it (RFC 9112, 2.2). */
static size_t request_start(const char *bytes, size_t length) {
  return length >= 2 && bytes[0] == '\r' && bytes[1] == '\n' ? 2 : 0;
}

/* Whether the first bytes show that this is another protocol, before a line is complete. */
static bool is_no_request(const char *bytes, size_t length) {
  size_t start = request_start(bytes, length);
  if (length == start || (length == 1 && bytes[0] == '\r')) return false;
  return !http_is_kind(bytes[start], HTTP_TOKEN);
}

/* Reads the head from its first byte. */
static enum reading read_head(const char *bytes, size_t length, struct head *head,
                              const char **why) {
  struct span line;
  size_t at = request_start(bytes, length);
  *head = (struct head){.length = 0};
  enum reading reading = http_find_line(bytes, length, at, at, &line, why);
  if (reading != READING_DONE) return reading;
  *why = http_read_request_line(line, &head->request);
  at += line.length + 2;
  head->request.fields.data = bytes + at;
  while (*why == NULL) {
    struct http_field field;
    reading = http_find_line(bytes, length, at, at, &line, why);
    if (reading != READING_DONE) return reading;
    if (line.length == 0) break;
    *why = http_read_field(line, &field);
    if (*why == NULL) note_field(head, &field);
    at += line.length + 2;
  }
  head->request.fields.length = (size_t)(bytes + at - head->request.fields.data);
  head->length = at + 2;
  return *why == NULL ? READING_DONE : READING_BAD;
}

/* Checks the lines that end behind the first `seen` bytes. DONE: the head is whole. */
static enum reading check_new_lines(const char *bytes, size_t length, size_t seen,
                                    const char **why) {
  size_t start = request_start(bytes, length);
  if (memchr(bytes + seen, '\n', length - seen) == NULL) return READING_SHORT;
  const char *feed = memrchr(bytes, '\n', seen);
  size_t at = feed == NULL ? start : (size_t)(feed - bytes) + 1;
  for (size_t from = at > seen ? at : seen;; from = at) {
    struct span line;
    struct http_request request;
    struct http_field field;
    enum reading reading = http_find_line(bytes, length, at, from, &line, why);
    if (reading != READING_DONE) return reading;
    if (at > start && line.length == 0) return READING_DONE;
    if (at == start)
      *why = http_read_request_line(line, &request);
    else
      *why = http_read_field(line, &field);
    if (*why != NULL) return READING_BAD;
    at += line.length + 2;
  }
}

static void answer_unfinished_head(const char *bytes, size_t length, size_t max_head,
                                   struct framing_progress *progress,
                                   struct framing_answer *answer) {
  size_t start = request_start(bytes, length);
  if (length < max_head)
    answer_partial(answer, progress, length + 1, length);
  else if (start > max_head || memchr(bytes + start, '\n', max_head - start) == NULL)
    answer_too_large(answer, "414 the request line is longer than a head may be");
  else
    answer_too_large(answer, "431 the head is longer than allowed");
}

/* A length within a head fits 32 bits: FRAMING_HEAD_MAX. */
static void describe_request(const struct head *head, struct framing_answer *answer) {
  bool is_1_1 = head->request.minor > 0;
  answer->http.method = (uint32_t)head->request.method.length;
  answer->http.target = (uint32_t)head->request.target.length;
  answer->http.keeps_alive = (is_1_1 || head->keeps) && !head->closes;
  answer->http.expects = head->expects && is_1_1;
}

/* ---- chunked bodies ------------------------------------------------------------------------ */

/* Finds the empty line that ends the trailers, which begin at bytes[at] (RFC 9112, 7.1.2). */
static enum reading find_trailer_end(const char *bytes, size_t length, size_t at, size_t *end,
                                     const char **why) {
  struct span line;
  do {
    enum reading reading = http_find_line(bytes, length, at, at, &line, why);
    if (reading != READING_DONE) return reading;
    at += line.length + 2;
  } while (line.length > 0);
  *end = at;
  return READING_DONE;
}

/* Checks the trailers, bytes[at..end). If one cannot be accepted, answers and returns false. */
static bool check_trailers(const struct framing *framing, const char *bytes, size_t at, size_t end,
                           struct framing_answer *answer) {
  struct span rest = {bytes + at, end - at}, line;
  struct http_field field;
  const char *why;
  for (size_t count = 0; http_next_line(&rest, &line) && line.length > 0; count++) {
    if (count == framing->option.http.max_headers) {
      answer_too_large(answer, "431 more trailer fields than allowed");
      return false;
    }
    why = http_read_field(line, &field);
    if (why != NULL) {
      answer_malformed(answer, why);
      return false;
    }
  }
  return true;
}

/* The chunked request is whole and sound. Nothing was kept of its head, so it is read again. */
static void answer_chunked(const char *bytes, size_t length, struct framing_answer *answer) {
  struct head head;
  const char *why;
  read_head(bytes, length, &head, &why);
  answer_complete(answer, bytes + head.length, length - head.length, length);
  describe_request(&head, answer);
  answer->http.is_chunked = true;
}

/* The line of the last chunk is sound, and the trailers begin at bytes[at]. */
static void decode_trailers(const struct framing *framing, const char *bytes, size_t length,
                            size_t at, struct framing_progress *progress,
                            struct framing_answer *answer) {
  const char *why;
  size_t end, max = framing->option.http.max_head;
  if (max > TRAILERS_MAX) max = TRAILERS_MAX;
  bool is_cut = length - at >= max;
  switch (find_trailer_end(bytes, is_cut ? at + max : length, at, &end, &why)) {
  case READING_DONE:
    if (check_trailers(framing, bytes, at, end, answer)) answer_chunked(bytes, end, answer);
    break;
  case READING_BAD: answer_malformed(answer, why); break;
  case READING_SHORT:
    if (is_cut)
      answer_too_large(answer, "431 the trailers are longer than allowed");
    else
      answer_partial(answer, progress, length + 1, progress->seen);
  }
}

/* The most bytes from the start of a frame to the end of a chunk. It bounds what the lines of many
 * small chunks add to the body. */
static size_t chunk_limit(const struct framing *framing) {
  static const size_t most = FRAME_MAX - ((size_t)1 << 32); /* No sum with it overflows. */
  if (framing->max > most / 4) return most;
  return framing->option.http.max_head + 2 * framing->max + CHUNK_ROOM;
}

/* Reads from the chunk at progress->seen on (RFC 9112, 7.1). */
static void decode_chunks(const struct framing *framing, const char *bytes, size_t length,
                          struct framing_progress *progress, struct framing_answer *answer) {
  size_t limit = chunk_limit(framing);
  for (;;) {
    size_t at = progress->seen;
    struct http_chunk_line line;
    const char *why = http_read_chunk_line((struct span){bytes + at, length - at}, &line);
    if (why != NULL) {
      answer_malformed(answer, why);
      return;
    }
    if (line.length == 0) {
      if (length - at < HTTP_CHUNK_LINE_MAX)
        answer_partial(answer, progress, length + 1, at);
      else
        answer_too_large(answer, "413 the extensions of a chunk are longer than allowed");
      return;
    }
    size_t data = at + line.length;
    if (line.size == 0) {
      decode_trailers(framing, bytes, length, data, progress, answer);
      return;
    }
    if (line.size > framing->max - progress->taken || data > limit || line.size > limit - data) {
      answer_too_large(answer, "413 the body is larger than allowed");
      return;
    }
    size_t end = data + line.size;
    if ((length > end && bytes[end] != '\r') || (length > end + 1 && bytes[end + 1] != '\n')) {
      answer_malformed(answer, "400 no CR LF behind the data of a chunk");
      return;
    }
    if (length < end + 2) {
      answer_partial(answer, progress, length > end ? end + 2 : end + 1, at);
      return;
    }
    progress->seen = end + 2;
    progress->taken += line.size;
  }
}

/* ---- requests ------------------------------------------------------------------------------ */

/* The head is whole and sound, and no byte of the body has arrived. A client of HTTP/1.0 does not
 * wait for an answer before it sends the body (RFC 9110, 10.1.1). */
static void answer_head_alone(const struct head *head, size_t needed,
                              struct framing_progress *progress, struct framing_answer *answer) {
  answer_partial(answer, progress, needed, head->length);
  if (head->expects && head->request.minor > 0) answer->interim = "HTTP/1.1 100 Continue\r\n\r\n";
}

/* The head is whole, and each line of it is sound by itself. */
static void decode_body(const struct framing *framing, const char *bytes, size_t length,
                        const struct head *head, struct framing_progress *progress,
                        struct framing_answer *answer) {
  const char *why = judge_head(head);
  progress->stage = HTTP_BODY;
  if (head->count > framing->option.http.max_headers) {
    answer_too_large(answer, "431 more header fields than allowed");
  } else if (why != NULL) {
    answer_malformed(answer, why);
  } else if (head->is_chunked && length > head->length) {
    progress->stage = HTTP_CHUNKS;
    progress->seen = head->length;
    decode_chunks(framing, bytes, length, progress, answer);
  } else if (head->is_chunked) {
    answer_head_alone(head, length + 1, progress, answer);
  } else if (head->body > framing->max || head->body > FRAME_MAX - head->length) {
    answer_too_large(answer, "413 the body is larger than allowed");
  } else if (length == head->length && head->body > 0) {
    answer_head_alone(head, length + (size_t)head->body, progress, answer);
  } else if (length - head->length < head->body) {
    answer_partial(answer, progress, head->length + (size_t)head->body, head->length);
  } else {
    answer_complete(answer, bytes + head->length, (size_t)head->body,
                    head->length + (size_t)head->body);
    describe_request(head, answer);
  }
}

void http_decode(const struct framing *framing, const char *bytes, size_t length,
                 struct framing_progress *progress, struct framing_answer *answer) {
  struct head head;
  const char *why = NULL;
  enum reading reading = READING_DONE;
  if (is_no_request(bytes, length)) {
    answer_malformed(answer, "400 this does not begin as a request does");
    return;
  }
  if (progress->stage == HTTP_CHUNKS) {
    decode_chunks(framing, bytes, length, progress, answer);
    return;
  }
  size_t max_head = framing->option.http.max_head;
  size_t window = length < max_head ? length : max_head;
  if (progress->stage == HTTP_HEAD && progress->seen > 0)
    reading = check_new_lines(bytes, window, progress->seen, &why);
  if (reading == READING_DONE) reading = read_head(bytes, window, &head, &why);
  switch (reading) {
  case READING_DONE: decode_body(framing, bytes, length, &head, progress, answer); break;
  case READING_BAD: answer_malformed(answer, why); break;
  case READING_SHORT: answer_unfinished_head(bytes, length, max_head, progress, answer); break;
  }
}

/* ---- reading what was decoded -------------------------------------------------------------- */

void http_read_request(const struct framing_answer *answer, struct http_request *request) {
  const char *body = answer->payload.data;
  const char *at = body + answer->payload.length - answer->length;
  at += request_start(at, answer->length);
  request->method = (struct span){at, answer->http.method};
  at += request->method.length + 1;
  request->target = (struct span){at, answer->http.target};
  at += request->target.length + sizeof " HTTP/1.1" - 1;
  request->minor = at[-1] != '0';
  at += 2;
  request->fields = (struct span){at, (size_t)(body - at) - 2};
}

void http_read_head(const char *bytes, size_t length, struct framing_answer *answer) {
  struct head head;
  const char *why;
  read_head(bytes, length, &head, &why);
  answer_complete(answer, bytes + head.length, 0, head.length);
  describe_request(&head, answer);
}
