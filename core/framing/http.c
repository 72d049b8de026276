#include "framing/http.h"

#include <stdint.h>
#include <string.h>

#include "framing/decoders.h"
#include "framing/http_bytes.h"
#include "framing/http_chunks.h"
#include "framing/http_head.h"

/* RFC 9112, 3.2 and 6.1 to 6.3. */
static const char *judge_head(const struct http_head *head) {
  if (head->fault != NULL) return head->fault;
  if (head->hosts == 0 && head->minor > 0) return "400 Host is missing";
  if (head->encodings > 0) {
    if (head->lengths > 0) return "400 both Content-Length and Transfer-Encoding";
    if (head->minor == 0) return "400 Transfer-Encoding in HTTP/1.0";
    if (!head->is_chunked) return "400 the last Transfer-Encoding is not chunked";
    if (head->is_coded) return "501 a Transfer-Encoding besides chunked";
  }
  /* In HTTP/1.0 the field has no meaning. */
  if (head->has_unknown_expectation && head->minor > 0)
    return "417 an expectation other than 100-continue";
  return NULL;
}

/* Whether the first bytes show that this is another protocol, before a line is complete. */
static bool is_no_request(const char *bytes, size_t length) {
  size_t start = http_head_start(FRAMING_HTTP, bytes, length);
  if (length == start || (length == 1 && bytes[0] == '\r')) return false;
  return !http_is_kind(bytes[start], HTTP_TOKEN);
}

static void answer_unfinished_head(const char *bytes, size_t length, size_t max_head,
                                   struct framing_progress *progress,
                                   struct framing_answer *answer) {
  size_t start = http_head_start(FRAMING_HTTP, bytes, length);
  if (length < max_head)
    answer_partial(answer, progress, length + 1, length);
  else if (start > max_head || memchr(bytes + start, '\n', max_head - start) == NULL)
    answer_too_large(answer, "414 the request line is longer than a head may be");
  else
    answer_too_large(answer, "431 the head is longer than allowed");
}

/* A client of HTTP/1.0 does not wait for an answer before it sends the body (RFC 9110, 10.1.1). */
static bool expects(const struct http_head *head) { return head->expects && head->minor > 0; }

/* In the first answer behind the head, whatever it is. */
static void note_expectation(const struct http_head *head, struct framing_answer *answer) {
  if (!expects(head)) return;
  answer->http.expects = true;
  answer->http.is_chunked = head->is_chunked;
}

/* A length within a head fits 32 bits: FRAMING_HEAD_MAX. */
static void describe_request(const struct http_head *head, struct framing_answer *answer) {
  bool is_1_1 = head->minor > 0;
  answer->http.method = (uint32_t)head->request.method.length;
  answer->http.target = (uint32_t)head->request.target.length;
  answer->http.keeps_alive = (is_1_1 || head->keeps) && !head->closes;
  answer->http.expects = expects(head);
}

/* The chunked request is whole and sound. Nothing was kept of its head, so it is read again. */
static void answer_chunked(const char *bytes, size_t length, struct framing_answer *answer) {
  struct http_head head;
  const char *why;
  http_head_read(FRAMING_HTTP, bytes, length, &head, &why);
  answer_complete(answer, bytes + head.length, length - head.length, length);
  describe_request(&head, answer);
  answer->http.is_chunked = true;
}

static void decode_chunks(const struct framing *framing, const char *bytes, size_t length,
                          struct framing_progress *progress, struct framing_answer *answer) {
  http_decode_chunks(framing, bytes, length, progress, answer);
  if (answer->verdict == FRAMING_COMPLETE) answer_chunked(bytes, answer->length, answer);
}

/* ---- requests ------------------------------------------------------------------------------ */

/* The head is whole and sound, and no byte of the body has arrived. */
static void answer_head_alone(const struct http_head *head, size_t needed,
                              struct framing_progress *progress, struct framing_answer *answer) {
  answer_partial(answer, progress, needed, head->length);
  note_expectation(head, answer);
  if (expects(head)) answer->interim = "HTTP/1.1 100 Continue\r\n\r\n";
}

static bool is_body_too_large(const struct framing *framing, const struct http_head *head) {
  return head->body > framing->max || head->body > FRAME_MAX - head->length;
}

/* The body is left to http_body.c. */
static void answer_head(const struct framing *framing, const char *bytes,
                        const struct http_head *head, struct framing_answer *answer) {
  if (!head->is_chunked && is_body_too_large(framing, head)) {
    answer_too_large(answer, "413 the body is larger than allowed");
    return;
  }
  answer_complete(answer, bytes + head->length, 0, head->length);
  answer->verdict = FRAMING_HEAD;
  answer->declared = head->is_chunked ? 0 : (size_t)head->body;
  describe_request(head, answer);
  answer->http.is_chunked = head->is_chunked;
}

/* The head is whole and sound, and says that there is a body. */
static void decode_body(const struct framing *framing, const char *bytes, size_t length,
                        const struct http_head *head, struct framing_progress *progress,
                        struct framing_answer *answer) {
  if (framing->option.http.stream_body) {
    answer_head(framing, bytes, head, answer);
  } else if (head->is_chunked && length > head->length) {
    progress->stage = HTTP_CHUNKS;
    progress->seen = head->length;
    decode_chunks(framing, bytes, length, progress, answer);
    note_expectation(head, answer);
  } else if (head->is_chunked) {
    answer_head_alone(head, length + 1, progress, answer);
  } else if (is_body_too_large(framing, head)) {
    answer_too_large(answer, "413 the body is larger than allowed");
  } else if (length == head->length) {
    answer_head_alone(head, length + (size_t)head->body, progress, answer);
  } else if (length - head->length < head->body) {
    answer_partial(answer, progress, head->length + (size_t)head->body, head->length);
    note_expectation(head, answer);
  } else {
    answer_complete(answer, bytes + head->length, (size_t)head->body,
                    head->length + (size_t)head->body);
    describe_request(head, answer);
  }
}

/* The head is whole, and each line of it is sound by itself. Most requests have no body. */
static void decode_behind_head(const struct framing *framing, const char *bytes, size_t length,
                               const struct http_head *head, struct framing_progress *progress,
                               struct framing_answer *answer) {
  const char *why = judge_head(head);
  progress->stage = HTTP_BODY;
  if (head->count > framing->option.http.max_headers) {
    answer_too_large(answer, "431 more header fields than allowed");
  } else if (why != NULL) {
    answer_malformed(answer, why);
  } else if (head->is_chunked || head->body > 0) {
    decode_body(framing, bytes, length, head, progress, answer);
  } else {
    answer_complete(answer, bytes + head->length, 0, head->length);
    describe_request(head, answer);
  }
}

void http_decode(const struct framing *framing, const char *bytes, size_t length,
                 struct framing_progress *progress, struct framing_answer *answer) {
  struct http_head head;
  const char *why = NULL;
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
  switch (http_head_read_on(FRAMING_HTTP, bytes, window, progress, &head, &why)) {
  case READING_DONE: decode_behind_head(framing, bytes, length, &head, progress, answer); break;
  case READING_BAD: answer_malformed(answer, why); break;
  case READING_SHORT: answer_unfinished_head(bytes, length, max_head, progress, answer); break;
  }
}

/* ---- reading what was decoded -------------------------------------------------------------- */

void http_read_request(const struct framing_answer *answer, struct http_request *request) {
  const char *body = answer->payload.data;
  const char *at = body + answer->payload.length - answer->length;
  at += http_head_start(FRAMING_HTTP, at, answer->length);
  request->method = (struct span){at, answer->http.method};
  at += request->method.length + 1;
  request->target = (struct span){at, answer->http.target};
  at += request->target.length + sizeof " HTTP/1.1" - 1;
  request->minor = at[-1] != '0';
  at += 2;
  request->fields = (struct span){at, (size_t)(body - at) - 2};
}

void http_read_head(const char *bytes, size_t length, struct framing_answer *answer) {
  struct http_head head;
  const char *why;
  http_head_read(FRAMING_HTTP, bytes, length, &head, &why);
  answer_complete(answer, bytes + head.length, 0, head.length);
  describe_request(&head, answer);
}
