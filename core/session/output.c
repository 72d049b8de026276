#include "session/output.h"

#include <assert.h>
#include <stdlib.h>

static bool is_held(const struct piece *piece) {
  return piece->kind == PIECE_HELD || piece->kind == PIECE_BLOB;
}

/* Bytes in memory that are left to be sent of a piece. */
static size_t bytes_left(const struct piece *piece) {
  if (piece->kind == PIECE_BYTES) return buffer_bytes(piece->of.bytes).length;
  return is_held(piece) ? piece->of.held.left.length : 0;
}

/* Counts a piece that joins the output. */
static void count(struct output *output, const struct piece *piece) {
  if (piece->is_part) output->parts++;
  if (piece->kind == PIECE_FILE) output->files++;
  output->size += bytes_left(piece);
  if (!is_held(piece)) return;
  output->held += piece->of.held.left.length;
  output->charged += piece->of.held.charge;
}

/* Counts a piece that leaves the output. */
static void discount(struct output *output, const struct piece *piece) {
  if (piece->is_part) output->parts--;
  if (piece->kind == PIECE_FILE) output->files--;
  output->size -= bytes_left(piece);
  if (!is_held(piece)) return;
  output->held -= piece->of.held.left.length;
  output->charged -= piece->of.held.charge;
}

enum status output_push(struct output *output, const struct piece *piece) {
  struct piece *copy = malloc(sizeof *copy);
  if (!copy) return STATUS_NO_MEMORY;
  *copy = *piece;
  copy->next = NULL;
  copy->is_part = piece->kind != PIECE_BLOB && (piece->kind != PIECE_BYTES || output->parts > 0);
  if (output->last)
    output->last->next = copy;
  else
    output->first = copy;
  output->last = copy;
  count(output, copy);
  return STATUS_OK;
}

enum status output_append_behind(struct output *output, const char *bytes, size_t length) {
  if (length == 0) return STATUS_OK;
  if (output->last->kind != PIECE_BYTES) {
    struct piece piece = {.kind = PIECE_BYTES};
    enum status status = output_push(output, &piece);
    if (status != STATUS_OK) return status;
  }
  enum status status = buffer_append(&output->last->of.bytes, bytes, length);
  if (status == STATUS_OK) output->size += length;
  return status;
}

void output_next(const struct output *output, struct span *spans, size_t capacity,
                 struct session_output *next) {
  *next = (struct session_output){.file = -1};
  if (output->front && capacity > 0) spans[next->count++] = buffer_bytes(output->front);
  const struct piece *piece = output->first;
  for (; piece && next->count < capacity; piece = piece->next) {
    if (piece->kind == PIECE_BYTES)
      spans[next->count++] = buffer_bytes(piece->of.bytes);
    else if (is_held(piece))
      spans[next->count++] = piece->of.held.left;
    else
      break;
  }
  /* A stream may have nothing to say for a while, so nothing is held back for it. */
  next->more = piece && piece->kind != PIECE_STREAM;
  if (next->count == 0 && piece && piece->kind == PIECE_FILE) {
    next->file = piece->of.file.descriptor;
    next->offset = piece->of.file.offset;
    next->file_length = piece->of.file.length;
  }
}

struct piece *output_take_first(struct output *output) {
  struct piece *piece = output->first;
  discount(output, piece);
  output->first = piece->next;
  if (!output->first) output->last = NULL;
  piece->next = NULL;
  return piece;
}

/* Counts sent bytes against a piece and returns how many of them were not its own. */
static size_t advance(struct output *output, struct piece *piece, size_t length, bool *done) {
  size_t left = piece->kind == PIECE_FILE ? piece->of.file.length : bytes_left(piece);
  size_t taken = length < left ? length : left;
  *done = taken == left && piece->kind != PIECE_STREAM;
  if (piece->kind == PIECE_FILE) {
    piece->of.file.offset += (int64_t)taken;
    piece->of.file.length -= taken;
  } else if (piece->kind != PIECE_STREAM) {
    output->size -= taken;
    if (piece->kind == PIECE_BYTES)
      buffer_consume(&piece->of.bytes, taken);
    else {
      output->held -= taken;
      piece->of.held.left.data += taken;
      piece->of.held.left.length -= taken;
    }
  }
  return length - taken;
}

struct piece *output_sent(struct output *output, size_t length) {
  size_t front = buffer_bytes(output->front).length;
  size_t taken = length < front ? length : front;
  buffer_consume(&output->front, taken);
  output->size -= taken;
  length -= taken;
  struct piece *done = NULL;
  struct piece **tail = &done;
  /* A piece of no bytes is done with as soon as it is at the head. */
  while (output->first && !output->front) {
    bool is_done;
    length = advance(output, output->first, length, &is_done);
    if (!is_done) break;
    *tail = output_take_first(output);
    tail = &(*tail)->next;
  }
  assert(length == 0);
  return done;
}

void output_claim(struct output *output, struct held_strings *strings) {
  for (struct piece *piece = output->first; piece; piece = piece->next) {
    if (!is_held(piece) || !piece->of.held.held) continue;
    size_t claimed = held_claim(strings, piece->of.held.held);
    piece->of.held.charge += claimed;
    output->charged += claimed;
  }
}

void output_join(struct output *output, struct output *from) {
  for (const struct piece *piece = from->first; piece; piece = piece->next) count(output, piece);
  if (output->last)
    output->last->next = from->first;
  else
    output->first = from->first;
  if (from->last) output->last = from->last;
  *from = (struct output){0};
}

/* Removes all pieces behind `last`; NULL: all of them. */
static struct piece *take_behind(struct output *output, struct piece *last) {
  struct piece *taken = last ? last->next : output->first;
  for (struct piece *piece = taken; piece; piece = piece->next) {
    discount(output, piece);
    if (piece->kind == PIECE_BYTES) buffer_free(&piece->of.bytes);
  }
  if (last)
    last->next = NULL;
  else
    output->first = NULL;
  output->last = last;
  return taken;
}

struct piece *output_take_pieces(struct output *output) {
  return take_behind(output, NULL);
}

struct piece *output_take_parts(struct output *output) {
  struct piece *last = NULL;
  for (struct piece *piece = output->first; piece && !piece->is_part; piece = piece->next)
    last = piece;
  return take_behind(output, last);
}

struct piece *output_take_streams(struct output *output) {
  struct piece *last = NULL;
  for (struct piece *piece = output->first; piece && piece->kind != PIECE_STREAM;
       piece = piece->next)
    last = piece;
  return take_behind(output, last);
}
