/* buffer.h: a queue of bytes, added at the back and taken from the front.
 *
 * An empty buffer is a NULL pointer, so that a connection with nothing to keep owns no memory.
 * Every function takes the address of that pointer, which belongs to the caller. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <string.h>

#include "base/span.h"
#include "base/status.h"

struct buffer {
  size_t start;    /* Offset in data of the first byte held. */
  size_t end;      /* Offset in data behind the last byte held. */
  size_t capacity; /* Size of data. */
  char data[];
};

/* The smallest capacity. With its header such a block has 1 KiB, the largest size that the
 * allocator keeps in its fast lists. */
enum { BUFFER_SMALLEST = 1024 - sizeof(struct buffer) };

/* Returns the bytes held. The span is valid until the buffer is next changed. */
static inline struct span buffer_bytes(const struct buffer *buffer) {
  return buffer ? (struct span){buffer->data + buffer->start, buffer->end - buffer->start}
                : (struct span){NULL, 0};
}

/* Returns the bytes of memory that were ever written to. The kernel has given no memory yet for the
 * rest of a large block. */
static inline size_t buffer_memory(const struct buffer *buffer) {
  if (!buffer) return 0;
  return sizeof *buffer + (buffer->end < BUFFER_SMALLEST ? BUFFER_SMALLEST : buffer->end);
}

/* Makes room for at least `room` more bytes at the back, which may move the bytes held. *space is
 * all the free room. STATUS_NO_MEMORY: the buffer is unchanged. */
enum status buffer_reserve(struct buffer **buffer, size_t room, struct span *space);

/* Counts bytes that were written into the reserved room as held. */
void buffer_commit(struct buffer *buffer, size_t length);

/* The slow path of buffer_append(): makes room first. */
enum status buffer_append_slow(struct buffer **buffer, const char *bytes, size_t length);

/* Copies bytes to the back. STATUS_NO_MEMORY: the buffer is unchanged. */
__attribute__((always_inline)) static inline enum status
buffer_append(struct buffer **buffer, const char *bytes, size_t length) {
  struct buffer *now = *buffer;
  if (length == 0) return STATUS_OK;
  if (!now || now->capacity - now->end < length) return buffer_append_slow(buffer, bytes, length);
  memcpy(now->data + now->end, bytes, length);
  now->end += length;
  return STATUS_OK;
}

/* Drops up to `length` bytes from the front. A buffer that becomes empty is freed. */
void buffer_consume(struct buffer **buffer, size_t length);

void buffer_free(struct buffer **buffer);

#endif
