/* http.h: reads requests and responses of HTTP/1.0 and HTTP/1.1, strictly by RFC 9112.
 *
 * The decoders validate a message with these functions. The modules room reads the bytes of a
 * COMPLETE answer with the same functions, so they cannot fail there. What a request means is left
 * to others.
 *
 * Where RFC 9112 lets a recipient choose, this one refuses: request smuggling needs two recipients
 * that choose differently. So a line ends with CR LF and never with LF alone, there is at most one
 * Content-Length, and there is no white space where the grammar has none. Each `why` about a
 * request begins with the status code of the response that it deserves ("431 more header fields
 * than allowed"). */
#ifndef FRAMING_HTTP_H
#define FRAMING_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct framing_answer;

struct http_request {
  struct span method;
  struct span target;
  unsigned minor;     /* Minor version, 0 or 1. A higher one counts as 1 (RFC 9110, 2.5). */
  struct span fields; /* The field lines, each with its CR LF. */
};

struct http_response {
  unsigned status;    /* 100 to 999. */
  struct span reason; /* The reason phrase, which may be empty. */
  unsigned minor;     /* As of a request. */
  struct span fields; /* As of a request. */
};

/* Both spans lie in the field line. The value has no white space around it. */
struct http_field {
  struct span name;
  struct span value;
};

/* Gives the parts of a request that framing_decode() or http_read_head() answered COMPLETE for. The
 * bytes must still be where they were. */
void http_read_request(const struct framing_answer *answer, struct http_request *request);

/* Gives the parts of a response that framing_decode() or framing_decode_end() answered COMPLETE
 * for. The bytes must still be where they were. */
void http_read_response(const struct framing_answer *answer, struct http_response *response);

/* Takes the first line off *fields and reads it. False: no line is left, or it is no field line,
 * which can only be if a script has changed the lines. */
bool http_next_field(struct span *fields, struct http_field *field);

/* Gives the host, with its port if there is one, that the target of a sound request names; false if
 * it names none. It takes precedence over the Host field (RFC 9112, 3.2.2). */
bool http_named_host(const struct http_request *request, struct span *host);

/* Takes the first element that is not empty off a list with commas (RFC 9110, 5.6.1), without the
 * white space around it; false if none is left. */
bool http_next_element(struct span *list, struct span *element);

/* Reads the head at the front of the bytes, which must be whole and sound. The answer is that for a
 * request without a body. */
void http_read_head(const char *bytes, size_t length, struct framing_answer *answer);

/* Takes the first chunk off *body, the payload of a chunked message, and gives its data; false if
 * no data is left. */
bool http_next_chunk(struct span *body, struct span *data);

/* Whether a field may have this name, or this value (RFC 9110, 5.1 and 5.5). Responses obey the
 * same rules as requests. */
bool http_is_name(struct span text);
bool http_is_value(struct span text);

/* Whether `text` is `lower` in any case. `lower` has lower-case letters, digits and hyphens; `text`
 * has only bytes that http_is_name() accepts, since some others would count as equal. */
static inline bool http_is_word(struct span text, const char *lower) {
  for (size_t i = 0; i < text.length; i++)
    if (lower[i] == '\0' || (text.data[i] | 0x20) != lower[i]) return false;
  return lower[text.length] == '\0';
}

#endif
