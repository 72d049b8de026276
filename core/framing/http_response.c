/* What a response means depends on the request that it answers (RFC 9112, 6.3). A response of 1xx
 * is a frame of its own; the final one comes behind it. */
#include <string.h>

#include "framing/decoders.h"
#include "framing/http.h"
#include "framing/http_chunks.h"
#include "framing/http_head.h"
#include "framing/http_lines.h"

/* The rooms that read a response do not answer it: a `why` has no status code in front. */
enum { CODE_LENGTH = sizeof "400 " - 1 };

enum body { BODY_NONE, BODY_LENGTH, BODY_CHUNKS, BODY_REST };

/* RFC 9112, 6.3. */
static enum body find_body(const struct framing *framing, const struct http_head *head) {
  enum http_answered answered = framing->option.http.answered;
  unsigned status = head->response.status;
  if (answered == HTTP_TO_HEAD || status < 200 || status == 204 || status == 304) return BODY_NONE;
  if (answered == HTTP_TO_CONNECT && status < 300) return BODY_NONE;
  if (head->encodings > 0) return BODY_CHUNKS;
  return head->lengths > 0 ? BODY_LENGTH : BODY_REST;
}

static const char *judge_head(const struct http_head *head) {
  if (head->fault != NULL) return head->fault;
  if (head->encodings == 0) return NULL;
  if (head->lengths > 0) return "400 both Content-Length and Transfer-Encoding";
  if (head->minor == 0) return "400 Transfer-Encoding in HTTP/1.0";
  return head->is_chunked && !head->is_coded ? NULL
                                             : "400 a Transfer-Encoding other than chunked alone";
}

static void answer_response(const char *bytes, size_t length, const struct http_head *head,
                            struct framing_answer *answer) {
  answer_complete(answer, bytes + head->length, length - head->length, length);
  answer->http.keeps_alive = (head->minor > 0 || head->keeps) && !head->closes;
}

static void decode_chunks(const struct framing *framing, const char *bytes, size_t length,
                          struct framing_progress *progress, struct framing_answer *answer) {
  struct http_head head;
  const char *why;
  http_decode_chunks(framing, bytes, length, progress, answer);
  if (answer->verdict != FRAMING_COMPLETE) return;
  length = answer->length;
  http_head_read(FRAMING_HTTP_RESPONSE, bytes, length, &head, &why);
  answer_response(bytes, length, &head, answer);
  answer->http.is_chunked = true;
}

/* The head is whole, and so many bytes long. */
static void decode_rest(const struct framing *framing, size_t head, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer) {
  if (length - head > framing->max) {
    answer_too_large(answer, "413 the body is larger than allowed");
    return;
  }
  answer_partial(answer, progress, length + 1, head);
  answer->until_end = true;
  progress->stage = HTTP_REST;
}

static void decode_length(const struct framing *framing, const char *bytes, size_t length,
                          const struct http_head *head, struct framing_progress *progress,
                          struct framing_answer *answer) {
  if (head->body > framing->max || head->body > FRAME_MAX - head->length) {
    answer_too_large(answer, "413 the body is larger than allowed");
    return;
  }
  size_t whole = head->length + (size_t)head->body;
  if (length < whole)
    answer_partial(answer, progress, whole, head->length);
  else
    answer_response(bytes, whole, head, answer);
}

/* The head is whole, and each line of it is sound by itself. */
static void decode_body(const struct framing *framing, const char *bytes, size_t length,
                        const struct http_head *head, struct framing_progress *progress,
                        struct framing_answer *answer) {
  const char *why = judge_head(head);
  progress->stage = HTTP_BODY;
  if (head->count > framing->option.http.max_headers) {
    answer_too_large(answer, "431 more header fields than allowed");
    return;
  }
  if (why != NULL) {
    answer_malformed(answer, why);
    return;
  }
  switch (find_body(framing, head)) {
  case BODY_NONE: answer_response(bytes, head->length, head, answer); break;
  case BODY_LENGTH: decode_length(framing, bytes, length, head, progress, answer); break;
  case BODY_REST: decode_rest(framing, head->length, length, progress, answer); break;
  case BODY_CHUNKS:
    progress->stage = HTTP_CHUNKS;
    progress->seen = head->length;
    decode_chunks(framing, bytes, length, progress, answer);
  }
}

static void decode_head(const struct framing *framing, const char *bytes, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer) {
  static const char start[] = "HTTP/1.";
  struct http_head head;
  const char *why = NULL;
  size_t max_head = framing->option.http.max_head;
  size_t window = length < max_head ? length : max_head;
  if (memcmp(bytes, start, length < sizeof start - 1 ? length : sizeof start - 1) != 0) {
    answer_malformed(answer, "400 this does not begin as a response of HTTP/1.0 or HTTP/1.1 does");
    return;
  }
  switch (http_head_read_on(framing->kind, bytes, window, progress, &head, &why)) {
  case READING_DONE: decode_body(framing, bytes, length, &head, progress, answer); break;
  case READING_BAD: answer_malformed(answer, why); break;
  case READING_SHORT:
    if (length < max_head)
      answer_partial(answer, progress, length + 1, length);
    else
      answer_too_large(answer, "431 the head is longer than allowed");
  }
}

void http_response_decode(const struct framing *framing, const char *bytes, size_t length,
                          struct framing_progress *progress, struct framing_answer *answer) {
  switch (progress->stage) {
  case HTTP_HEAD:
  case HTTP_BODY: decode_head(framing, bytes, length, progress, answer); break;
  case HTTP_CHUNKS: decode_chunks(framing, bytes, length, progress, answer); break;
  case HTTP_REST: decode_rest(framing, progress->seen, length, progress, answer); break;
  }
  if (answer->why != NULL) answer->why += CODE_LENGTH;
}

void http_read_response(const struct framing_answer *answer, struct http_response *response) {
  *response = (struct http_response){.status = 0};
  const char *body = answer->payload.data;
  const char *at = body + answer->payload.length - answer->length;
  struct span line, lines = {at, (size_t)(body - at)};
  if (!http_next_line(&lines, &line)) return; /* The decoder has checked it. */
  http_read_status_line(line, response);
  response->fields = (struct span){lines.data, lines.length - 2};
}
