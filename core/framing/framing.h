/* framing.h: finds where a request ends, for the usual ways in which protocols frame requests. Two
 * kinds find what a server answers, for scripts that are clients.
 *
 * Untrusted bytes enter here. A framing is a pure function over bytes: it does no I/O, allocates
 * nothing and keeps no state. What a request means is left to the modules room, and how long a peer
 * may take to send one is left to the session room.
 *
 * A `struct framing` is a plain value that its owner may copy. */
#ifndef FRAMING_FRAMING_H
#define FRAMING_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum framing_kind {
  FRAMING_LINE,          /* Text up to LF or CR LF. */
  FRAMING_DELIMITED,     /* Bytes up to a delimiter of one or more bytes. */
  FRAMING_FIXED,         /* Always the same number of bytes. */
  FRAMING_LENGTH_LINE,   /* A decimal length, LF, and that many bytes. */
  FRAMING_PREFIXED,      /* A header of fixed size with a binary length field, and the rest. */
  FRAMING_NETSTRING,     /* "5:hello,": https://cr.yp.to/proto/netstrings.txt */
  FRAMING_HTTP,          /* A request of HTTP/1.0 or 1.1: see http.h. */
  FRAMING_RESP,          /* Redis: an array of bulk strings, or an inline command; see resp.h. */
  FRAMING_HTTP_RESPONSE, /* A response of HTTP/1.0 or 1.1: see http.h. */
  FRAMING_RESP_REPLY     /* What a Redis answers: see resp_reply.h. */
};

enum framing_verdict {
  FRAMING_COMPLETE,  /* The bytes begin with a whole request. */
  FRAMING_HEAD,      /* HTTP with stream_body: the bytes begin with a head whose body follows. */
  FRAMING_PARTIAL,   /* The bytes are the beginning of a request. */
  FRAMING_MALFORMED, /* No further bytes can make a request of them. */
  FRAMING_TOO_LARGE  /* The request is over a limit. */
};

enum {
  FRAMING_DELIMITER_MAX = 64,          /* Bytes of the longest delimiter. */
  FRAMING_HEAD_MAX = 16 * 1024 * 1024, /* The largest max_head of framing.http. */
  FRAMING_WHY_MAX = 256                /* Bytes that are enough for framing_explain(). */
};

/* The method of the request that an HTTP response answers, as far as the end of the response
 * depends on it. */
enum http_answered { HTTP_TO_OTHER, HTTP_TO_HEAD, HTTP_TO_CONNECT };

struct framing {
  enum framing_kind kind;
  /* Bytes of the largest payload; RESP: of all arguments; RESP_REPLY: of all strings and errors;
   * HTTP and HTTP_RESPONSE: of a body, its chunks joined.
   * SIZE_MAX: only the session has a limit. */
  size_t max;
  union {
    struct {
      size_t length; /* 1 to FRAMING_DELIMITER_MAX. */
      char bytes[FRAMING_DELIMITER_MAX];
    } delimited;
    struct {
      size_t size; /* At least 1. */
    } fixed;
    struct {
      size_t offset; /* Bytes before the length field. */
      size_t width;  /* Bytes of the length field: 1 to 16, as string.pack allows. */
      bool big_endian;
      bool is_signed; /* The field is signed; a length below zero is malformed. */
      int64_t adjust; /* Added to the field's value, gives the bytes that follow the field. */
      size_t strip;   /* Bytes at the front of the frame that are not part of the payload. */
    } prefixed;
    struct {
      size_t max_head;             /* Bytes of a head: 1 to FRAMING_HEAD_MAX. */
      size_t max_headers;          /* How many header fields, and how many trailer fields. */
      enum http_answered answered; /* HTTP_RESPONSE. */
      bool stream_body;            /* HTTP: a request is its head: see http_body.h. */
    } http;                        /* HTTP and HTTP_RESPONSE. */
    struct {
      /* 1 to RESP_ARGUMENTS_MAX. RESP_REPLY: of all values of a reply, arrays included. */
      size_t max_arguments;
      bool reuse; /* RESP, for the modules room: lists of arguments are used again. */
    } resp;       /* RESP and RESP_REPLY. */
  } option;
};

/* What framing_decode() found. A field has a value only for the verdicts that its comment names,
 * and only for the kind that it names, if any; otherwise it is zero. For example, `got` has a value
 * when a framing of the kind RESP answers MALFORMED. */
struct framing_answer {
  enum framing_verdict verdict;
  /* COMPLETE: bytes of the frame. HEAD: bytes of the head. PARTIAL: call again with so many. */
  size_t length;
  /* COMPLETE: the part of the frame that the request is made from, within the bytes that were
   * given. HTTP and HTTP_RESPONSE: the body alone, behind the head. RESP and RESP_REPLY: the whole
   * frame. HEAD: nothing, behind the head. */
  struct span payload;
  /* TOO_LARGE: the payload's length if the frame declares it. HEAD: that of a body that is not
   * chunked. */
  size_t declared;
  const char *why;     /* MALFORMED, TOO_LARGE: a static text, which framing_explain() completes. */
  const char *interim; /* PARTIAL, HTTP: a static text that the peer waits for, or NULL. */
  bool until_end;      /* PARTIAL, HTTP_RESPONSE: the frame ends where the bytes of the peer end. */
  struct {             /* Of HEAD as of COMPLETE. */
    uint32_t method;   /* COMPLETE, HTTP: the length of the method. */
    uint32_t target;   /* COMPLETE, HTTP: the length of the target. */
    /* COMPLETE, HTTP and HTTP_RESPONSE: the payload is a chunked body, still in its chunks. HEAD,
     * and HTTP with `expects`: the body is chunked. */
    bool is_chunked;
    /* COMPLETE, HTTP and HTTP_RESPONSE: the sender wants to go on after the response. */
    bool keeps_alive;
    /* HTTP: the client would wait for 100 Continue before the body. COMPLETE, HEAD, and the first
     * answer behind a sound head that is another one. */
    bool expects;
  } http;
  uint32_t arguments; /* COMPLETE, RESP: how many there are. RESP_REPLY: how many values. */
  char got;           /* MALFORMED, RESP: the byte that framing_explain() quotes. */
};

/* The part of an HTTP message that is read next. */
enum http_stage {
  HTTP_HEAD,   /* The head. Each line that ends within `seen` is sound. */
  HTTP_BODY,   /* The body. The head is whole and sound, and `seen` is its length. */
  HTTP_CHUNKS, /* The chunk that begins at `seen`. Everything before it is sound. */
  HTTP_REST    /* As HTTP_BODY. The body ends where the bytes of the peer end. */
};

/* What a decoder remembers of a frame that is not complete. The caller keeps it from one call to
 * the next, sets it to zeros for a new frame, and reads nothing but `seen`. */
struct framing_progress {
  /* Bytes at the front in which the search is over. Each call may read a bounded number of them
   * again: a length line, the header of a prefixed frame, the byte before a line feed, the head and
   * the trailers of HTTP. */
  size_t seen;
  size_t taken;       /* Bytes of the arguments, of the strings, or of data in chunks, in `seen`. */
  uint32_t arguments; /* RESP and RESP_REPLY: how many are still to come. */
  union {
    enum http_stage stage; /* HTTP and HTTP_RESPONSE. */
    uint32_t line;         /* RESP_REPLY: so many bytes behind `seen` hold no end of a line. */
  };
};

/* Whether a request is only its head: it may be answered FRAMING_HEAD. */
static inline bool framing_streams_body(const struct framing *framing) {
  return framing->kind == FRAMING_HTTP && framing->option.http.stream_body;
}

/* Looks for one frame at the front of bytes[0..length), and fills in *answer. The answer does not
 * depend on how the bytes were cut into calls. Reads nothing outside of the bytes, which may be
 * NULL when length is 0.
 *
 * After PARTIAL, call it again with the same progress, when answer->length bytes are there: the
 * same bytes and more behind them. This length binds the decoder: as long as fewer bytes are there,
 * it neither completes nor refuses the frame. So a caller loses nothing if it waits for them. */
void framing_decode(const struct framing *framing, const char *bytes, size_t length,
                    struct framing_progress *progress, struct framing_answer *answer);

/* As framing_decode(), when no byte comes behind these: a frame that ends where the bytes end is
 * COMPLETE. */
void framing_decode_end(const struct framing *framing, const char *bytes, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer);

/* Writes why the answer is MALFORMED or TOO_LARGE: `why`, and then the byte that is quoted, or the
 * declared length and the limit. Returns text. */
const char *framing_explain(const struct framing *framing, const struct framing_answer *answer,
                            char *text, size_t size);

/* The name that scripts know a kind by ("line"); a static text. */
const char *framing_name(enum framing_kind kind);

/* The length of the text of framing_explain() without the byte that it quotes, for a log that must
 * not show bytes of the peer. */
size_t framing_why_length(const char *why);

#endif
