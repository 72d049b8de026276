#include "framing/http_chunks.h"

#include <stdint.h>

#include "framing/http_lines.h"

/* Bytes that the lines of chunks may add to a body, besides the size of the body itself. */
enum { CHUNK_ROOM = 16 * 1024 };

/* The most bytes of trailers. They are few, so every call reads them again until they are whole. */
enum { TRAILERS_MAX = 4096 };

/* Finds the empty line that ends the trailers, which begin at bytes[at] (RFC 9112, 7.1.2). */
static enum reading find_trailer_end(const char *bytes, size_t length, size_t at, size_t *end,
                                     const char **why) {
  struct span line;
  do {
    enum reading reading = http_find_line(bytes, length, at, at, &line, why);
    if (reading != READING_DONE) return reading;
    at += line.length + 2;
  } while (line.length > 0);
  *end = at;
  return READING_DONE;
}

/* Checks the trailers, bytes[at..end). If one cannot be accepted, answers and returns false. */
static bool check_trailers(const struct framing *framing, const char *bytes, size_t at, size_t end,
                           struct framing_answer *answer) {
  struct span rest = {bytes + at, end - at}, line;
  struct http_field field;
  const char *why;
  for (size_t count = 0; http_next_line(&rest, &line) && line.length > 0; count++) {
    if (count == framing->option.http.max_headers) {
      answer_too_large(answer, "431 more trailer fields than allowed");
      return false;
    }
    why = http_read_field(line, &field);
    if (why != NULL) {
      answer_malformed(answer, why);
      return false;
    }
  }
  return true;
}

/* The line of the last chunk is sound, and the trailers begin at bytes[at]. */
static void decode_trailers(const struct framing *framing, const char *bytes, size_t length,
                            size_t at, struct framing_progress *progress,
                            struct framing_answer *answer) {
  const char *why;
  size_t end, max = framing->option.http.max_head;
  if (max > TRAILERS_MAX) max = TRAILERS_MAX;
  bool is_cut = length - at >= max;
  switch (find_trailer_end(bytes, is_cut ? at + max : length, at, &end, &why)) {
  case READING_DONE:
    if (check_trailers(framing, bytes, at, end, answer)) answer_complete(answer, NULL, 0, end);
    break;
  case READING_BAD: answer_malformed(answer, why); break;
  case READING_SHORT:
    if (is_cut)
      answer_too_large(answer, "431 the trailers are longer than allowed");
    else
      answer_partial(answer, progress, length + 1, progress->seen);
  }
}

/* The most bytes from the start of a frame to the end of a chunk. It bounds what the lines of many
 * small chunks add to the body. */
static size_t chunk_limit(const struct framing *framing) {
  static const size_t most = FRAME_MAX - ((size_t)1 << 32); /* No sum with it overflows. */
  if (framing->max > most / 4) return most;
  return framing->option.http.max_head + 2 * framing->max + CHUNK_ROOM;
}

void http_decode_chunks(const struct framing *framing, const char *bytes, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer) {
  size_t limit = chunk_limit(framing);
  for (;;) {
    size_t at = progress->seen;
    struct http_chunk_line line;
    const char *why = http_read_chunk_line((struct span){bytes + at, length - at}, &line);
    if (why != NULL) {
      answer_malformed(answer, why);
      return;
    }
    if (line.length == 0) {
      if (length - at < HTTP_CHUNK_LINE_MAX)
        answer_partial(answer, progress, length + 1, at);
      else
        answer_too_large(answer, "413 the extensions of a chunk are longer than allowed");
      return;
    }
    size_t data = at + line.length;
    if (line.size == 0) {
      decode_trailers(framing, bytes, length, data, progress, answer);
      return;
    }
    if (line.size > framing->max - progress->taken || data > limit || line.size > limit - data) {
      answer_too_large(answer, "413 the body is larger than allowed");
      return;
    }
    size_t end = data + line.size;
    if ((length > end && bytes[end] != '\r') || (length > end + 1 && bytes[end + 1] != '\n')) {
      answer_malformed(answer, "400 no CR LF behind the data of a chunk");
      return;
    }
    if (length < end + 2) {
      answer_partial(answer, progress, length > end ? end + 2 : end + 1, at);
      return;
    }
    progress->seen = end + 2;
    progress->taken += line.size;
  }
}
