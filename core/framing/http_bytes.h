/* http_bytes.h: says which bytes each part of an HTTP request may have.
 *
 * Private to the room. */
#ifndef FRAMING_HTTP_BYTES_H
#define FRAMING_HTTP_BYTES_H

#include <stdbool.h>
#include <stddef.h>

enum http_kind {
  HTTP_TOKEN = 1,  /* tchar: methods and field names (RFC 9110, 5.6.2). */
  HTTP_PATH = 2,   /* pchar without "%", and "/". */
  HTTP_NAME = 4,   /* The bytes of a reg-name that are not percent-encoded. */
  HTTP_QUOTED = 8, /* qdtext. */
  HTTP_HEX = 16,   /* Hexadecimal digits. */
  HTTP_QUERY =
      32 /* The bytes of a query, and \ ^ ` { | } [ ] and a lone "%": browsers send them. */
};

/* The kinds of each byte, as a sum. */
extern const unsigned char http_kinds[256];

static inline bool http_is_kind(char byte, enum http_kind kind) {
  return (http_kinds[(unsigned char)byte] & (unsigned)kind) != 0;
}

/* How many bytes at the front are of the kind. */
static inline size_t http_run(const char *bytes, size_t length, enum http_kind kind) {
  size_t i = 0;
  while (i < length && http_is_kind(bytes[i], kind)) i++;
  return i;
}

#endif
