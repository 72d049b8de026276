/* http_lines.h: reads single lines of an HTTP message; http_head.c gathers what they mean together.
 *
 * Private to the room. A `why` is NULL or a static text, as in http.h. */
#ifndef FRAMING_HTTP_LINES_H
#define FRAMING_HTTP_LINES_H

#include <string.h>

#include "framing/decoders.h"
#include "framing/http.h"

/* Finds the line that begins at bytes[at] and has no line feed before bytes[from]. DONE: gives it
 * without its CR LF. BAD: gives *why. */
static inline enum reading http_find_line(const char *bytes, size_t length, size_t at, size_t from,
                                          struct span *line, const char **why) {
  const char *feed = memchr(bytes + from, '\n', length - from);
  if (feed == NULL) return READING_SHORT;
  *line = (struct span){bytes + at, (size_t)(feed - (bytes + at))};
  if (line->length > 0 && feed[-1] == '\r') {
    line->length--;
    return READING_DONE;
  }
  *why = "400 a line feed without a carriage return";
  return READING_BAD;
}

/* Takes the first line off *lines and gives it without its CR LF; false if there is none. */
bool http_next_line(struct span *lines, struct span *line);

/* Reads a request line without its CR LF. */
const char *http_read_request_line(struct span line, struct http_request *request);

/* Reads a status line without its CR LF (RFC 9112, 4). */
const char *http_read_status_line(struct span line, struct http_response *response);

/* Reads a field line without its CR LF. */
const char *http_read_field(struct span line, struct http_field *field);

struct http_chunk_line {
  size_t size;   /* Bytes of the data; 0 for the last chunk. */
  size_t length; /* Bytes of the line with its CR LF; 0 while the line is not complete. */
};

/* The longest line before a chunk's data, with chunk extensions and CR LF (RFC 9112, 7.1.1). */
enum { HTTP_CHUNK_LINE_MAX = 256 };

/* Reads the line before a chunk's data at the front of `bytes`. Looks at HTTP_CHUNK_LINE_MAX bytes
 * at most. */
const char *http_read_chunk_line(struct span bytes, struct http_chunk_line *line);

#endif
