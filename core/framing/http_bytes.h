/* http_bytes.h: which bytes the parts of an HTTP request may hold.
 *
 * Private to the room. */
#ifndef FRAMING_HTTP_BYTES_H
#define FRAMING_HTTP_BYTES_H

#include <stdbool.h>
#include <stddef.h>

enum http_kind {
  HTTP_TOKEN = 1,  /* tchar */
  HTTP_PATH = 2,   /* pchar but "%", and "/" */
  HTTP_NAME = 4,   /* what a reg-name holds besides percent-encoded bytes */
  HTTP_QUOTED = 8, /* qdtext */
  HTTP_HEX = 16,
  HTTP_QUERY = 32 /* of a query; and \ ^ ` { | } [ ] and a lone "%", which browsers send so */
};

/* The kinds of each byte. */
extern const unsigned char http_kinds[256];

static inline bool http_is_kind(char byte, enum http_kind kind) {
  return (http_kinds[(unsigned char)byte] & (unsigned)kind) != 0;
}

/* How many of the first bytes are of the kind. */
static inline size_t http_run(const char *bytes, size_t length, enum http_kind kind) {
  size_t i = 0;
  while (i < length && http_is_kind(bytes[i], kind)) i++;
  return i;
}

#endif
