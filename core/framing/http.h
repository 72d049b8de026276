/* http.h: requests of HTTP/1.0 and HTTP/1.1, read strictly by RFC 9112.
 *
 * One reader for every byte: the decoder uses it to find where a request ends and whether it is
 * one, and whoever wants to know what stands in it (the script room) uses it again on the bytes of
 * a COMPLETE answer, which then cannot fail. What a request means is left to others.
 *
 * Where RFC 9112 lets a recipient choose, this one refuses: two recipients that choose differently
 * are what request smuggling is made of. So a line ends with CR LF and never with LF alone, there
 * is one Content-Length or none, and no white space where the grammar has none. Every `why` begins
 * with the status code of the response that it deserves ("431 too many header fields"). */
#ifndef FRAMING_HTTP_H
#define FRAMING_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct framing_answer;

struct http_request {
  struct span method;
  struct span target;
  unsigned minor;     /* of the version: 0 or 1; a higher one is spoken to as 1 (RFC 9110, 2.5) */
  struct span fields; /* the field lines, each with its CR LF */
};

/* The spans of a name and its value lie in the field line; the value has no white space around it.
 */
struct http_field {
  struct span name;
  struct span value;
};

/* The parts of a request for which framing_decode() answered COMPLETE; the bytes must still be
 * there. */
void http_read_request(const struct framing_answer *answer, struct http_request *request);

/* Takes the first line off *fields and reads it; false when none is left, or if it is none: a
 * script may have had the lines in its hands. */
bool http_next_field(struct span *fields, struct http_field *field);

/* The host, and perhaps port, that the target of a sound request names; false if it names none. It
 * counts instead of what a Host field says (RFC 9112, 3.2.2). */
bool http_named_host(const struct http_request *request, struct span *host);

/* Takes the first element that is not empty off a list whose elements stand between commas (RFC
 * 9110, 5.6.1), without the white space around it; false when none is left. */
bool http_next_element(struct span *list, struct span *element);

/* The head at the front of the bytes, which is known to be whole and sound, as if it were a request
 * without a body. *answer is then as after COMPLETE. */
void http_read_head(const char *bytes, size_t length, struct framing_answer *answer);

/* Takes the first chunk off *body, which is the payload of a chunked request; false when none with
 * data is left. */
bool http_next_chunk(struct span *body, struct span *data);

/* Whether a field may have this name, and whether a field's value may hold these bytes (RFC
 * 9110, 5.1 and 5.5): what is refused in requests is not to be said in responses. */
bool http_is_name(struct span text);
bool http_is_value(struct span text);

/* Whether `text` is `lower`, which holds lower-case letters, digits and hyphens, in any case. It
 * tells letters from letters; what else is in the text must be looked at before, as http_is_name()
 * does. */
bool http_is_word(struct span text, const char *lower);

#endif
