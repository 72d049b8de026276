/* http_body.h: takes the body of a request apart while it arrives: framing.http with stream_body.
 *
 * As a framing, it does no I/O and allocates nothing. What it has found is taken away by the
 * caller, so that a body of any length needs the memory of a line of a chunk, or of the trailers.
 */
#ifndef FRAMING_HTTP_BODY_H
#define FRAMING_HTTP_BODY_H

#include "framing/framing.h"

enum http_body_stage {
  HTTP_BODY_LINE,      /* The line before the data of a chunk, or the last chunk. */
  HTTP_BODY_DATA,      /* Data: of a chunk, or of a body that is not chunked. */
  HTTP_BODY_CHUNK_END, /* The CR LF behind the data of a chunk. */
  HTTP_BODY_END        /* Nothing more belongs to the body. */
};

struct http_body {
  struct framing framing; /* A copy: only its limits count. */
  enum http_body_stage stage;
  bool is_chunked;
  size_t left;  /* HTTP_BODY_DATA: bytes that are left of the data. */
  size_t taken; /* Bytes of the chunks so far. */
};

enum http_body_result {
  HTTP_BODY_FOUND,   /* There is data. */
  HTTP_BODY_PARTIAL, /* More bytes must come. */
  HTTP_BODY_OVER,    /* The body has ended. */
  HTTP_BODY_MALFORMED,
  HTTP_BODY_TOO_LARGE /* The data is over max, or a line or the trailers are too long. */
};

struct http_body_piece {
  size_t length;    /* So many bytes are to be taken away, whatever the result is. */
  struct span data; /* HTTP_BODY_FOUND: lies in them, and is not empty. */
  const char *why;  /* MALFORMED and TOO_LARGE: a static text that begins with a status code. */
};

/* `head` is the framing's answer FRAMING_HEAD. */
void http_body_begin(struct http_body *body, const struct framing *framing,
                     const struct framing_answer *head);

/* Looks at the bytes that are there behind those that were taken away. Finds at most `most` bytes
 * of data, which is at least 1. The data and the end of a body do not depend on how its bytes were
 * cut. */
enum http_body_result http_body_next(struct http_body *body, struct span bytes, size_t most,
                                     struct http_body_piece *piece);

#endif
