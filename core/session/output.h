/* output.h: the unsent output of a session, in order.
 *
 * Copied bytes go first. They are followed by pieces of other kinds, and by bytes between those.
 * Held strings, files, streams, and the bytes behind them, are parts of a response. Blobs, and
 * bytes behind nothing else, are no parts: nobody needs to wait until they are sent. Private to the
 * session room. Nothing here calls the handler: pieces that were sent are returned, and the session
 * releases their references. */
#ifndef SESSION_OUTPUT_H
#define SESSION_OUTPUT_H

#include "base/blob.h"
#include "base/buffer.h"
#include "session/held.h"
#include "session/session.h"

enum piece_kind { PIECE_BYTES, PIECE_HELD, PIECE_BLOB, PIECE_FILE, PIECE_STREAM };

struct piece {
  struct piece *next;
  enum piece_kind kind : 8;
  bool is_part : 1; /* Of a response; output_push() sets it. */
  int reference;    /* Of PIECE_HELD, PIECE_FILE and PIECE_STREAM. */
  union {
    struct buffer *bytes;
    struct {
      struct span left;
      struct held *held; /* NULL: the bytes are not shared. */
      size_t charge;     /* Bytes that it counts as buffered; 0: another piece counts them. */
      struct blob *blob; /* Of PIECE_BLOB, which holds it. */
    } held;              /* PIECE_HELD and PIECE_BLOB. */
    struct {
      int descriptor;
      int64_t offset;
      size_t length;
    } file;
  } of;
};

struct output {
  struct buffer *front; /* Sent before the pieces. */
  struct piece *first;
  struct piece *last;
  size_t size;    /* Unsent bytes in memory; parts of files do not count. */
  size_t held;    /* How many of these are in held strings and blobs. */
  size_t files;   /* How many pieces are parts of files. */
  size_t charged; /* Bytes of the held strings and blobs that this output counts. */
  size_t parts;   /* How many pieces are parts of a response. */
};

static inline bool output_is_empty(const struct output *output) {
  return output->size == 0 && !output->first;
}

/* The stream that only `front` is sent before; NULL: there is none. */
static inline const struct piece *output_stream(const struct output *output) {
  return output->first && output->first->kind == PIECE_STREAM ? output->first : NULL;
}

/* Bytes of memory. */
static inline size_t output_memory(const struct output *output) {
  if (!output->front && !output->first) return 0;
  size_t behind = output->size - output->held - buffer_bytes(output->front).length;
  return buffer_memory(output->front) + behind + output->charged;
}

/* Queues a copy of the piece. What it holds is the output's from then on. */
enum status output_push(struct output *output, const struct piece *piece);

/* Queues bytes before all pieces. */
static inline enum status output_append_front(struct output *output, const char *bytes,
                                              size_t length) {
  enum status status = buffer_append(&output->front, bytes, length);
  if (status == STATUS_OK) output->size += length;
  return status;
}

/* Queues bytes behind the pieces, of which there must be one. */
enum status output_append_behind(struct output *output, const char *bytes, size_t length);

/* Queues bytes behind everything. */
static inline enum status output_append(struct output *output, const char *bytes, size_t length) {
  return output->first ? output_append_behind(output, bytes, length)
                       : output_append_front(output, bytes, length);
}

/* See session_output(). */
void output_next(const struct output *output, struct span *spans, size_t capacity,
                 struct session_output *next);

/* Removes sent bytes. Returns the pieces that are sent to their end, or NULL. */
struct piece *output_sent(struct output *output, size_t length);

/* Removes the first piece, which must be there. */
struct piece *output_take_first(struct output *output);

/* Counts those of its held strings and blobs that no output counts any more. */
void output_claim(struct output *output, struct held_strings *strings);

/* Queues the pieces of `from` behind everything. They must be blobs and bytes. */
void output_join(struct output *output, struct output *from);

/* Removes every piece, and frees the copied bytes in them; `front` stays. The caller releases the
 * references of the pieces, and frees the pieces. */
struct piece *output_take_pieces(struct output *output);

/* The same for the first part of a response and all that is behind it. */
struct piece *output_take_parts(struct output *output);

/* The same for the first stream and all that is behind it. */
struct piece *output_take_streams(struct output *output);

#endif
