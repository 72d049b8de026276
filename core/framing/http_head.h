/* http_head.h: reads the head of an HTTP message, and what its fields say of the body and of the
 * connection. Whether they may stand together is left to http.c and http_response.c.
 *
 * Private to the room. A `why` is NULL or a static text, as in http.h. */
#ifndef FRAMING_HTTP_HEAD_H
#define FRAMING_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "framing/decoders.h"
#include "framing/http.h"

/* What the first line and the header fields say together. */
struct http_head {
  union {
    struct http_request request;   /* FRAMING_HTTP; `fields` is not set. */
    struct http_response response; /* FRAMING_HTTP_RESPONSE; `fields` is not set. */
  };
  unsigned minor;     /* Minor version, 0 or 1. */
  size_t length;      /* Bytes, with the empty line at the end. */
  size_t count;       /* How many header fields there are. */
  unsigned hosts;     /* How many of them are Host (requests only). */
  unsigned lengths;   /* How many of them are Content-Length. */
  unsigned encodings; /* How many of them are Transfer-Encoding. */
  uint64_t body;      /* What Content-Length says. */
  bool is_chunked;    /* The last transfer coding is chunked. */
  bool is_coded;      /* There is a transfer coding besides chunked. */
  bool closes;        /* Connection has the option close. */
  bool keeps;         /* Connection has the option keep-alive. */
  bool expects;       /* Expect has 100-continue (requests only). */
  bool has_unknown_expectation;
  const char *fault; /* Why the first field that cannot be accepted is refused; NULL: none is. */
};

/* Where the message begins: one empty line may come before a request (RFC 9112, 2.2). */
static inline size_t http_head_start(enum framing_kind kind, const char *bytes, size_t length) {
  bool is_empty_line = length >= 2 && bytes[0] == '\r' && bytes[1] == '\n';
  return kind == FRAMING_HTTP && is_empty_line ? 2 : 0;
}

/* Reads the head from its first byte. */
enum reading http_head_read(enum framing_kind kind, const char *bytes, size_t length,
                            struct http_head *head, const char **why);

/* Reads a head of which the first progress->seen bytes are sound. A head that arrives in pieces is
 * read twice: each line when it is complete, to refuse it early, and all lines when the head is
 * whole, for what they mean together. A whole head is read once. */
enum reading http_head_read_on(enum framing_kind kind, const char *bytes, size_t length,
                               const struct framing_progress *progress, struct http_head *head,
                               const char **why);

#endif
