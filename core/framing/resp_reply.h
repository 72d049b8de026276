/* resp_reply.h: gives the values of what a Redis answers one by one (RESP2).
 *
 * The decoder uses the same function, so that the two cannot disagree. A cursor is a local variable
 * of its caller and points into the bytes of a complete reply. Nothing is allocated.
 *
 * https://redis.io/docs/latest/develop/reference/protocol-spec/ */
#ifndef FRAMING_RESP_REPLY_H
#define FRAMING_RESP_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Arrays lie in each other so deep at most. */
enum { RESP_DEPTH_MAX = 32 };

enum resp_type {
  RESP_STRING,  /* A simple string or a bulk string. */
  RESP_ERROR,   /* The text of an error. */
  RESP_INTEGER, /* 64 bits with a sign. */
  RESP_NULL,    /* A null bulk string or a null array. */
  RESP_ARRAY    /* Its items are the values that follow. */
};

struct resp_value {
  enum resp_type type;
  struct span text; /* RESP_STRING, RESP_ERROR. */
  int64_t number;   /* RESP_INTEGER; RESP_ARRAY: how many items it has. */
};

struct resp_reply_cursor {
  const char *at;
  const char *end;
};

/* Gives the next value. `cursor` begins with the payload of a COMPLETE answer of
 * FRAMING_RESP_REPLY, which has answer->arguments values, an array before its items. */
void resp_reply_next(struct resp_reply_cursor *cursor, struct resp_value *value);

#endif
