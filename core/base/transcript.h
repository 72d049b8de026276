/* transcript.h: conversations as text, in the format of docs/transcripts.md.
 *
 * The text is made in memory; what is to stand in it, and in which order, is left to the caller. */
#ifndef BASE_TRANSCRIPT_H
#define BASE_TRANSCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* All zeros at first; buffer_free(&text) at the end. */
struct transcript {
  struct buffer *text;
  bool lacks_memory; /* there was none for something: the text is of no use */
};

/* A line that is written as it stands, such as "fresh" or "< end". */
void transcript_line(struct transcript *transcript, const char *line);

/* The time at the beginning, in ms since 1970. */
void transcript_time(struct transcript *transcript, int64_t real_milliseconds);

/* Time that passes. */
void transcript_wait(struct transcript *transcript, int64_t milliseconds);

/* What one side says: '>' is the client, '<' the server. In as many lines as a person would give
 * it: a line feed ends one, none is longer than a screen is wide, and a byte that comes again and
 * again is written once. Bytes that are no text are written as `hex 00 01 ff`. The workbench's
 * literal.lua writes the same lines. */
void transcript_bytes(struct transcript *transcript, char side, struct span bytes);

#endif
