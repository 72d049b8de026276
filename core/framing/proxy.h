/* proxy.h: decodes the header of the PROXY protocol, with which a proxy tells whose connection it
 * passes on: https://github.com/haproxy/haproxy/blob/master/doc/proxy-protocol.txt
 *
 * Version 1 is a line of text, version 2 is binary. Untrusted bytes enter here: as a framing, the
 * decoder is a pure function that does no I/O and allocates nothing. Which peers are to be believed
 * is left to the server room. */
#ifndef FRAMING_PROXY_H
#define FRAMING_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum {
  PROXY_HEADER_MAX = 4096,  /* Bytes of the longest header that is accepted. */
  PROXY_LINE_MAX = 107,     /* Bytes of the longest header of version 1, CR LF included. */
  PROXY_UNIQUE_ID_MAX = 128 /* Bytes of the longest unique id. */
};

enum proxy_verdict {
  PROXY_COMPLETE, /* The bytes begin with a whole header. */
  PROXY_PARTIAL,  /* The bytes are the beginning of a header. */
  PROXY_MALFORMED /* No further bytes can make a header of them. */
};

enum proxy_family {
  PROXY_NO_ADDRESS, /* Version 1: UNKNOWN. Version 2: LOCAL, or an unspecified family. */
  PROXY_IPV4,
  PROXY_IPV6,
  PROXY_UNIX
};

/* One end of the connection that the proxy passes on. */
struct proxy_end {
  unsigned char ip[16]; /* IPV4 (the first four) and IPV6: in network byte order. */
  uint16_t port;        /* IPV4 and IPV6. */
  struct span path;     /* UNIX: the path of the socket, which may be empty. */
};

/* What the proxy knows of the TLS connection of its client. */
struct proxy_ssl {
  bool is_used;         /* The client speaks TLS. If not, the other fields are zero. */
  bool has_certificate; /* The client has shown a certificate, now or earlier in its session. */
  bool is_verified;     /* It has, and the proxy has verified it. */
  struct span version;  /* "TLSv1.3" */
  struct span cipher;
  struct span common_name; /* Of the client's certificate. */
  struct span signature;   /* How the proxy's certificate is signed: "RSA-SHA256". */
  struct span key;         /* The kind of its key: "RSA2048". */
};

/* What proxy_decode() found. The fields behind `length` are zero unless the header is COMPLETE.
 * What the header does not have is a span whose data is NULL. Spans point into the bytes. */
struct proxy_header {
  enum proxy_verdict verdict;
  const char *why; /* MALFORMED: a static text. Else NULL. */
  /* COMPLETE: bytes of the header. PARTIAL: call again with so many. */
  size_t length;
  enum proxy_family family;
  struct proxy_end source;      /* The client. */
  struct proxy_end destination; /* Where the client has connected to. */
  struct span alpn;
  struct span authority; /* The host name that the client has asked for. */
  struct span unique_id;
  struct proxy_ssl ssl;
};

/* Looks for a header at the front of bytes[0..length), and fills in *header. Reads nothing outside
 * of the bytes, which may be NULL when length is 0. The answer does not depend on how the bytes
 * were cut into calls, and nothing is kept between calls. After PARTIAL, call it again when
 * header->length bytes are there: with fewer it neither completes nor refuses the header. */
void proxy_decode(const char *bytes, size_t length, struct proxy_header *header);

#endif
