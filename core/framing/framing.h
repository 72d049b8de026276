/* framing.h: where a request ends, for the ways in which most protocols frame theirs.
 *
 * This is the door for untrusted bytes. Every framing is a pure function over a run of bytes: no
 * I/O, no allocation, no state of its own. What a complete request means to a script is left to the
 * script room; how long a connection may take over one is left to the session.
 *
 * A `struct framing` is a plain value that its owner may copy; framing_decode() never changes it.
 */
#ifndef FRAMING_FRAMING_H
#define FRAMING_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum framing_kind {
  FRAMING_LINE,      /* text up to a line feed; a carriage return before it belongs to the ending */
  FRAMING_DELIMITED, /* bytes up to a delimiter of one or more bytes */
  FRAMING_FIXED,     /* always the same number of bytes */
  FRAMING_LENGTH_LINE, /* a decimal length, a line feed, that many bytes: the recipe's */
  FRAMING_PREFIXED,    /* a binary length field somewhere in a header of fixed size */
  FRAMING_NETSTRING,   /* "5:hello,": https://cr.yp.to/proto/netstrings.txt */
  FRAMING_HTTP,        /* a request of HTTP/1.0 or 1.1: http.h */
  FRAMING_RESP         /* Redis: an array of bulk strings, or an inline command; see resp.h */
};

enum framing_answer {
  FRAMING_COMPLETE,  /* the first `length` bytes are a request */
  FRAMING_PARTIAL,   /* not complete, and cannot be before `length` bytes are there in all */
  FRAMING_MALFORMED, /* no bytes that could follow would make this a request: `why` says so */
  FRAMING_TOO_LARGE  /* it may be well formed, but its payload is over `max`: `why` says so */
};

/* The longest delimiter that framing.delimited takes, in bytes. */
enum { FRAMING_DELIMITER_MAX = 64 };

/* Room enough for framing_explain(), in bytes. */
enum { FRAMING_WHY_MAX = 256 };

/* The most that framing.http takes for max_head, in bytes. */
enum { FRAMING_HEAD_MAX = 16 * 1024 * 1024 };

struct framing {
  enum framing_kind kind;
  size_t max; /* the largest payload in bytes; SIZE_MAX leaves the limit to the session */
  union {
    struct {
      size_t length; /* 1 to FRAMING_DELIMITER_MAX */
      char bytes[FRAMING_DELIMITER_MAX];
    } delimited;
    struct {
      size_t size; /* at least 1 */
    } fixed;
    struct {
      size_t offset; /* bytes before the length field */
      size_t width;  /* of the length field: 1 to 16 bytes, as string.pack allows */
      bool big_endian;
      bool is_signed; /* then a length below zero is malformed */
      int64_t adjust; /* added to the length to get the bytes that follow the length field */
      size_t strip;   /* bytes left off the front of the frame to get the payload */
    } prefixed;
    struct {
      size_t max_head;    /* bytes of a head; 1 to FRAMING_HEAD_MAX */
      size_t max_headers; /* header fields, and trailer fields */
    } http;
    struct {
      size_t max_arguments; /* at most RESP_ARGUMENTS_MAX; `max` is for the bytes of them all */
      bool reuse;           /* for the script room: whether a list of arguments is used again */
    } resp;
  } option;
};

/* `interim` depends on nothing but the bytes that are there, like the rest of the answer: whoever
 * asks twice for the same bytes is told twice. */
struct framing_result {
  enum framing_answer answer;
  union {
    unsigned note;      /* HTTP. COMPLETE: what http.h says */
    uint32_t arguments; /* RESP. COMPLETE: how many there are; PARTIAL: how many are to come */
  };
  size_t length;       /* COMPLETE: bytes of the whole frame. PARTIAL: bytes needed, > those there.
                        * TOO_LARGE: the bytes of the payload, where they are declared; else 0 */
  struct span payload; /* COMPLETE: the request, inside the caller's bytes; RESP: all of it.
                        * PARTIAL: nothing, but in RESP the length of the arguments so far.
                        * TOO_LARGE: no bytes, but their length where it is declared, else 0 */
  union {
    size_t seen; /* PARTIAL: to be handed in again with the same bytes and more behind them */
    struct {
      uint32_t method, target;
    } lengths; /* HTTP. COMPLETE: of these parts of the request line, for http_read_request() */
  };
  union {
    const char *why;     /* MALFORMED, TOO_LARGE: a static text, for a log line and handle_error */
    const char *interim; /* PARTIAL: NULL, or what the peer is to be told now, since it waits for
                          * it before it sends on: a static text */
  };
};

/* Looks for one frame at the front of bytes[0..length). `seen` is 0 for a new frame and otherwise
 * the `seen` of the last PARTIAL answer for the same frame, so that no byte is looked at twice.
 * `result` is then still what that answer left there, because some kinds have more to remember.
 * The answer does not depend on how the bytes were cut into calls. Nothing is read outside of the
 * given bytes; `bytes` may be NULL when length is 0. */
void framing_decode(const struct framing *framing, const char *bytes, size_t length, size_t seen,
                    struct framing_result *result);

/* For an answer of MALFORMED or TOO_LARGE: writes why, with the length and the limit where the
 * length is declared. Returns text. */
const char *framing_explain(const struct framing *framing, const struct framing_result *result,
                            char *text, size_t size);

/* The name that scripts know a kind by ("line"); static. */
const char *framing_name(enum framing_kind kind);

/* The length of a `why` without what it quotes of the bytes: for a log that may not show any. */
size_t framing_why_length(const char *why);

#endif
