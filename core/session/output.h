/* output.h: what a session has still to send, in order.
 *
 * Mostly a run of copied bytes; behind it stand pieces of other kinds, and bytes behind those.
 * Private to the session room. Nothing here calls out: pieces that are done with are handed back,
 * so that the session can release what they refer to. */
#ifndef SESSION_OUTPUT_H
#define SESSION_OUTPUT_H

#include "base/buffer.h"
#include "session/held.h"
#include "session/session.h"

enum piece_kind { PIECE_BYTES, PIECE_HELD, PIECE_FILE, PIECE_STREAM };

struct piece {
  struct piece *next;
  enum piece_kind kind;
  int reference; /* of all kinds but PIECE_BYTES */
  union {
    struct buffer *bytes;
    struct {
      struct span left;
      struct held *held; /* or NULL */
      size_t charge;     /* what it counts as buffered; 0 if another one pays for it */
    } held;
    struct {
      int descriptor;
      int64_t offset;
      size_t length;
    } file;
  } of;
};

struct output {
  struct buffer *front; /* goes first */
  struct piece *first;
  struct piece *last;
  size_t size;    /* bytes in memory that wait; parts of files do not count */
  size_t held;    /* those of them that are in held strings */
  size_t files;   /* pieces that are parts of files */
  size_t charged; /* the memory of the held strings that it pays for */
};

static inline bool output_is_empty(const struct output *output) {
  return output->size == 0 && !output->first;
}

/* The stream whose turn it is: nothing but `front` stands before it. NULL if there is none. */
static inline const struct piece *output_stream(const struct output *output) {
  return output->first && output->first->kind == PIECE_STREAM ? output->first : NULL;
}

/* The memory that it takes. */
static inline size_t output_memory(const struct output *output) {
  if (!output->front && !output->first) return 0;
  size_t behind = output->size - output->held - buffer_bytes(output->front).length;
  return buffer_memory(output->front) + behind + output->charged;
}

/* Queues a piece; it is copied. */
enum status output_push(struct output *output, const struct piece *piece);

/* Puts bytes before the stream whose turn it is. */
static inline enum status output_append_front(struct output *output, const char *bytes,
                                              size_t length) {
  enum status status = buffer_append(&output->front, bytes, length);
  if (status == STATUS_OK) output->size += length;
  return status;
}

/* Puts bytes behind the pieces, of which there must be one. */
enum status output_append_behind(struct output *output, const char *bytes, size_t length);

/* Puts bytes behind all that waits. */
static inline enum status output_append(struct output *output, const char *bytes, size_t length) {
  return output->first ? output_append_behind(output, bytes, length)
                       : output_append_front(output, bytes, length);
}

/* See session_output(). */
void output_next(const struct output *output, struct span *spans, size_t capacity,
                 struct session_output *next);

/* Takes sent bytes off the front. Returns the pieces that are done with, or NULL. */
struct piece *output_sent(struct output *output, size_t length);

/* Takes off the piece at the head, which must be there. */
struct piece *output_take_first(struct output *output);

/* Pays for those of its held strings that nobody pays for any more. */
void output_claim(struct output *output, struct held_strings *strings);

/* Takes off every piece; the bytes at the front stay. */
struct piece *output_take_pieces(struct output *output);

#endif
