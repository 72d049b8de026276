/* transcript.h: writes the lines of a transcript, in the format of docs/transcripts.md.
 *
 * The text is made in memory. The caller decides which lines it has, and in which order. */
#ifndef SERVER_TRANSCRIPT_H
#define SERVER_TRANSCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "framing/proxy.h"

/* All zeros at first. The caller frees it with buffer_free(&transcript.text). */
struct transcript {
  struct buffer *text;
  bool is_incomplete; /* An allocation failed: the text must not be used. */
};

/* Adds a line as it stands, such as "fresh" or "< end". */
void transcript_line(struct transcript *transcript, const char *line);

/* Adds a `time` line. */
void transcript_time(struct transcript *transcript, int64_t real_milliseconds);

/* Adds a `wait` line, or several if the time is very long. */
void transcript_wait(struct transcript *transcript, int64_t milliseconds);

/* Adds a `setting` line. */
void transcript_setting(struct transcript *transcript, struct span name, struct span value);

/* Adds a `proxy` line. */
void transcript_proxy(struct transcript *transcript, const struct proxy_header *header);

/* Adds a `> tls` line for the texts of session_describe_tls(). */
void transcript_tls(struct transcript *transcript, struct span texts);

/* Adds an `upstream` line; `failure` is the word for how connecting fails, with the text `why`, or
 * "tls"; NULL: neither. */
void transcript_upstream(struct transcript *transcript, const char *name, struct span address,
                         const char *failure, struct span why);

/* Adds a line that says that the script begins TLS with an upstream, where `side` is the name of
 * this and "<". If it fails, the bytes are the word for that, a zero and why. */
void transcript_tls_of(struct transcript *transcript, const char *side, struct span failure);

/* Adds bytes that the client (">") or the server ("<") sends, or the same with the name of an
 * upstream, at most 20 bytes in all. A line feed ends a line, no line is
 * longer than 100 columns, and a byte that is repeated often is written once with its number.
 * Bytes that are not text are written as `hex 00 01 ff`. The workbench's literal.lua writes the
 * same lines. */
void transcript_bytes(struct transcript *transcript, const char *side, struct span bytes);

/* Adds a datagram, which is one line however long it is. */
void transcript_datagram(struct transcript *transcript, const char *side, struct span bytes);

#endif
