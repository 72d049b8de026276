/* resp.h: the arguments of a Redis request, one after the other.
 *
 * The same few functions find where a request ends (resp.c) and take it apart for the script, so
 * that the two cannot disagree. A cursor lives in its caller's frame and points into the bytes of a
 * request that framing_decode() has found complete; nothing is allocated.
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/ */
#ifndef FRAMING_RESP_H
#define FRAMING_RESP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* As Redis has them: arguments of a request; bytes of one argument; bytes of an inline request. */
#define RESP_ARGUMENTS_MAX ((size_t)1024 * 1024)
#define RESP_BULK_MAX ((size_t)512 * 1024 * 1024)
#define RESP_INLINE_MAX ((size_t)64 * 1024)

struct resp_argument {
  struct span raw; /* as it stands in the request */
  size_t length;   /* of the argument; less than that of `raw` if it is quoted */
};

struct resp_cursor {
  const char *at;
  const char *end;
  bool is_inline;
};

/* `request` is the payload of a COMPLETE answer of a framing of the kind FRAMING_RESP. */
void resp_open(struct resp_cursor *cursor, struct span request);

/* Gives the next argument; false when there is none left. */
bool resp_next(struct resp_cursor *cursor, struct resp_argument *argument);

/* Writes the argument's `length` bytes without quotes and escapes. */
void resp_unquote(const struct resp_argument *argument, char *text);

#endif
