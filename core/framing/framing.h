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

enum framing_verdict {
  FRAMING_COMPLETE,  /* The first bytes are a request. */
  FRAMING_PARTIAL,   /* They are the beginning of one, or nothing. */
  FRAMING_MALFORMED, /* No further bytes would make them a request. */
  FRAMING_TOO_LARGE  /* They may be well formed, but the payload is over a limit. */
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

/* What framing_decode() found. A field is zero unless its comment names the verdict and the kind.
 */
struct framing_answer {
  enum framing_verdict verdict;

  /* COMPLETE: the bytes of the whole frame. PARTIAL: the fewest bytes that the frame can have,
   * which are more than there are. */
  size_t length;

  /* COMPLETE: the request, within the caller's bytes; of RESP that is the whole frame. */
  struct span payload;

  /* TOO_LARGE: the length of the payload where the frame declares it, else 0. */
  size_t declared;

  /* MALFORMED and TOO_LARGE: what is wrong, as a static text; framing_explain() gives all of it. */
  const char *why;

  /* PARTIAL: a static text that the peer waits for before it sends the rest; NULL: it waits for
   * nothing. It depends on the bytes alone: the same bytes have it each time. */
  const char *interim;

  /* COMPLETE, RESP: the number of arguments. */
  uint32_t arguments;

  /* COMPLETE, HTTP. */
  struct {
    uint32_t method;  /* The length of the method, for http_read_request(). */
    uint32_t target;  /* The length of the target, for http_read_request(). */
    bool is_chunked;  /* The payload is a chunked body, still in its chunks. */
    bool keeps_alive; /* The client wants to go on after the response. */
    bool expects;     /* The client would wait for 100 Continue before it sends the body. */
  } http;

  /* MALFORMED, RESP: a byte that framing_explain() quotes behind `why`; 0: none. */
  char got;
};

/* Which part of an HTTP request is not complete. */
enum http_stage {
  HTTP_HEAD,  /* The head: each line that ends within the first `seen` bytes is sound. */
  HTTP_BODY,  /* The body: the head is whole, is sound, and has `seen` bytes. */
  HTTP_CHUNKS /* A chunk, which begins at `seen`: all before it is sound. */
};

/* What a decoder remembers of a frame that is not complete. Its owner keeps it, sets it to zeros
 * before the first bytes of a frame, and hands it in with the same bytes and more behind them. Only
 * the decoders change it, and only a PARTIAL answer has any use for it afterwards. */
struct framing_progress {
  /* So many of the first bytes are not looked at again. The owner may read it. */
  size_t seen;

  /* RESP: the bytes of all arguments within `seen`. HTTP: the bytes of data in all chunks within
   * it. */
  size_t taken;

  /* RESP: how many arguments are still to come. */
  uint32_t arguments;

  /* HTTP: what is to be read next. */
  enum http_stage stage;
};

/* Looks for one frame at the front of bytes[0..length). The answer does not depend on how the bytes
 * were cut into calls, and no byte is looked at twice. Nothing is read outside of the given bytes,
 * which may be NULL when length is 0. */
void framing_decode(const struct framing *framing, const char *bytes, size_t length,
                    struct framing_progress *progress, struct framing_answer *answer);

/* MALFORMED and TOO_LARGE: writes what is wrong, with the byte that is quoted, or the length and
 * the limit where a length is declared. Returns text. */
const char *framing_explain(const struct framing *framing, const struct framing_answer *answer,
                            char *text, size_t size);

/* The name that scripts know a kind by ("line"); static. */
const char *framing_name(enum framing_kind kind);

/* The length of what framing_explain() wrote without the byte that is quoted: for a log that may
 * not show any. */
size_t framing_why_length(const char *why);

#endif
