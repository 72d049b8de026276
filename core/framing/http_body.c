#include "framing/http_body.h"

#include "framing/http_chunks.h"
#include "framing/http_lines.h"

void http_body_begin(struct http_body *body, const struct framing *framing,
                     const struct framing_answer *head) {
  bool is_chunked = head->http.is_chunked;
  *body = (struct http_body){.framing = *framing,
                             .stage = is_chunked ? HTTP_BODY_LINE : HTTP_BODY_DATA,
                             .is_chunked = is_chunked,
                             .left = head->declared};
}

static enum http_body_result refuse(struct http_body_piece *piece, enum http_body_result result,
                                    const char *why) {
  piece->why = why;
  return result;
}

/* The line of the last chunk is at the front of `rest`: ends the body if the trailers are whole. */
static enum http_body_result end_chunks(struct http_body *body, struct span rest,
                                        struct http_body_piece *piece) {
  struct framing_progress progress = {0};
  struct framing_answer answer;
  http_decode_chunks(&body->framing, rest.data, rest.length, &progress, &answer);
  switch (answer.verdict) {
  case FRAMING_COMPLETE:
    piece->length += answer.length;
    body->stage = HTTP_BODY_END;
    return HTTP_BODY_OVER;
  case FRAMING_MALFORMED: return refuse(piece, HTTP_BODY_MALFORMED, answer.why);
  case FRAMING_TOO_LARGE: return refuse(piece, HTTP_BODY_TOO_LARGE, answer.why);
  default: return HTTP_BODY_PARTIAL;
  }
}

/* HTTP_BODY_FOUND: a chunk with data begins. */
static enum http_body_result begin_chunk(struct http_body *body, struct span rest,
                                         struct http_body_piece *piece) {
  struct http_chunk_line line;
  const char *why = http_read_chunk_line(rest, &line);
  if (why != NULL) return refuse(piece, HTTP_BODY_MALFORMED, why);
  if (line.length == 0 && rest.length < HTTP_CHUNK_LINE_MAX) return HTTP_BODY_PARTIAL;
  if (line.length == 0)
    return refuse(piece, HTTP_BODY_TOO_LARGE,
                  "413 the extensions of a chunk are longer than allowed");
  if (line.size == 0) return end_chunks(body, rest, piece);
  if (line.size > body->framing.max - body->taken)
    return refuse(piece, HTTP_BODY_TOO_LARGE, "413 the body is larger than allowed");
  body->taken += line.size;
  body->left = line.size;
  body->stage = HTTP_BODY_DATA;
  piece->length += line.length;
  return HTTP_BODY_FOUND;
}

static enum http_body_result end_chunk(struct http_body *body, struct span rest,
                                       struct http_body_piece *piece) {
  bool is_wrong =
      (rest.length > 0 && rest.data[0] != '\r') || (rest.length > 1 && rest.data[1] != '\n');
  if (is_wrong)
    return refuse(piece, HTTP_BODY_MALFORMED, "400 no CR LF behind the data of a chunk");
  if (rest.length < 2) return HTTP_BODY_PARTIAL;
  piece->length += 2;
  body->stage = HTTP_BODY_LINE;
  return HTTP_BODY_FOUND;
}

static enum http_body_result find_data(struct http_body *body, struct span rest, size_t most,
                                       struct http_body_piece *piece) {
  size_t length = rest.length < most ? rest.length : most;
  if (length > body->left) length = body->left;
  if (length == 0) return HTTP_BODY_PARTIAL;
  piece->data = (struct span){rest.data, length};
  piece->length += length;
  body->left -= length;
  if (body->left == 0) body->stage = body->is_chunked ? HTTP_BODY_CHUNK_END : HTTP_BODY_END;
  return HTTP_BODY_FOUND;
}

enum http_body_result http_body_next(struct http_body *body, struct span bytes, size_t most,
                                     struct http_body_piece *piece) {
  *piece = (struct http_body_piece){.length = 0};
  if (!bytes.data) bytes.data = ""; /* Adding 0 to NULL is undefined. */
  for (;;) {
    struct span rest = {bytes.data + piece->length, bytes.length - piece->length};
    enum http_body_result result = HTTP_BODY_OVER;
    switch (body->stage) {
    case HTTP_BODY_LINE: result = begin_chunk(body, rest, piece); break;
    case HTTP_BODY_DATA: return find_data(body, rest, most, piece);
    case HTTP_BODY_CHUNK_END: result = end_chunk(body, rest, piece); break;
    case HTTP_BODY_END: break;
    }
    if (result != HTTP_BODY_FOUND) return result;
  }
}
