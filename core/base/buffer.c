#include "base/buffer.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void compact(struct buffer *buffer) {
  memmove(buffer->data, buffer->data + buffer->start, buffer->end - buffer->start);
  buffer->end -= buffer->start;
  buffer->start = 0;
}

/* Replaces the block by one of at least `needed` bytes and at least twice the old capacity. The
 * bytes held move to its beginning. */
static enum status grow(struct buffer **buffer, size_t needed) {
  struct buffer *before = *buffer, *grown;
  struct span held = buffer_bytes(before);
  size_t capacity = before ? 2 * before->capacity : BUFFER_SMALLEST;
  while (capacity < needed) {
    if (capacity > SIZE_MAX / 4) return STATUS_NO_MEMORY;
    capacity *= 2;
  }
  bool may_extend = before && before->start == 0; /* realloc() can often extend in place. */
  grown = may_extend ? realloc(before, sizeof *grown + capacity) : malloc(sizeof *grown + capacity);
  if (!grown) return STATUS_NO_MEMORY;
  if (!may_extend) {
    if (held.length > 0) memcpy(grown->data, held.data, held.length);
    free(before);
  }
  grown->start = 0;
  grown->end = held.length;
  grown->capacity = capacity;
  *buffer = grown;
  return STATUS_OK;
}

/* Each byte is moved a constant number of times on average: bytes move within the block only after
 * at least as many were consumed, and to another block only when the capacity doubles. */
enum status buffer_reserve(struct buffer **buffer, size_t room, struct span *space) {
  size_t held = buffer_bytes(*buffer).length;
  if (room > SIZE_MAX / 4 - held) return STATUS_NO_MEMORY;
  struct buffer *now = *buffer;
  if (!now || now->capacity - now->end < room) {
    if (now && now->start >= held && now->capacity - held >= room)
      compact(now);
    else {
      enum status status = grow(buffer, held + room);
      if (status != STATUS_OK) return status;
    }
  }
  *space = (struct span){(*buffer)->data + (*buffer)->end, (*buffer)->capacity - (*buffer)->end};
  return STATUS_OK;
}

void buffer_commit(struct buffer *buffer, size_t length) {
  assert(length <= buffer->capacity - buffer->end);
  buffer->end += length;
}

enum status buffer_append_slow(struct buffer **buffer, const char *bytes, size_t length) {
  struct span space;
  enum status status = buffer_reserve(buffer, length, &space);
  if (status != STATUS_OK) return status;
  memcpy((*buffer)->data + (*buffer)->end, bytes, length);
  (*buffer)->end += length;
  return STATUS_OK;
}

void buffer_consume(struct buffer **buffer, size_t length) {
  struct buffer *now = *buffer;
  if (!now) return;
  if (length >= now->end - now->start)
    buffer_free(buffer);
  else
    now->start += length;
}

void buffer_free(struct buffer **buffer) {
  free(*buffer);
  *buffer = NULL;
}
