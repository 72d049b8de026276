/* resp.h: gives the arguments of a Redis request one by one.
 *
 * The decoder uses the same functions, so that the two cannot disagree. A cursor is a local
 * variable of its caller and points into the bytes of a complete request. Nothing is allocated.
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/ */
#ifndef FRAMING_RESP_H
#define FRAMING_RESP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* The limits of Redis: arguments of a request, bytes of an argument, bytes of an inline request. */
#define RESP_ARGUMENTS_MAX ((size_t)1024 * 1024)
#define RESP_BULK_MAX ((size_t)512 * 1024 * 1024)
#define RESP_INLINE_MAX ((size_t)64 * 1024)

struct resp_argument {
  struct span raw; /* The bytes in the request, with quotes and escapes. */
  size_t length;   /* The length without quotes and escapes. */
};

struct resp_cursor {
  const char *at;
  const char *end;
  bool is_inline;
};

/* `request` is the payload of a COMPLETE answer of FRAMING_RESP. */
void resp_open(struct resp_cursor *cursor, struct span request);

/* Gives the next argument; false if there is none. */
bool resp_next(struct resp_cursor *cursor, struct resp_argument *argument);

/* Writes the `length` bytes of the argument without quotes and escapes. */
void resp_unquote(const struct resp_argument *argument, char *text);

#endif
