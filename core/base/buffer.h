/* buffer.h: a queue of bytes, added at the back and taken from the front.
 *
 * A `struct buffer *` is NULL while it is empty: a connection with nothing to keep owns no memory.
 * Every function takes the address of that pointer, which belongs to the caller. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <string.h>

#include "base/span.h"
#include "base/status.h"

struct buffer {
  size_t start; /* of the bytes in data */
  size_t end;
  size_t capacity;
  char data[];
};

/* The capacity of the smallest block, which fills 1 KiB with its header: the allocator's fast lists
 * end there. */
enum { BUFFER_SMALLEST = 1024 - sizeof(struct buffer) };

/* The bytes held; valid until the buffer is next changed. */
static inline struct span buffer_bytes(const struct buffer *buffer) {
  return buffer ? (struct span){buffer->data + buffer->start, buffer->end - buffer->start}
                : (struct span){NULL, 0};
}

/* The memory that was ever written to: of a large block the rest is no more than an address. */
static inline size_t buffer_memory(const struct buffer *buffer) {
  if (!buffer) return 0;
  return sizeof *buffer + (buffer->end < BUFFER_SMALLEST ? BUFFER_SMALLEST : buffer->end);
}

/* Makes room for at least `room` more bytes at the back, which may move what is held. *space is the
 * whole of the free room. STATUS_NO_MEMORY: unchanged. */
enum status buffer_reserve(struct buffer **buffer, size_t room, struct span *space);

/* Counts bytes that were written into the reserved room as held. */
void buffer_commit(struct buffer *buffer, size_t length);

/* What buffer_append() does where there is no room yet. */
enum status buffer_append_slow(struct buffer **buffer, const char *bytes, size_t length);

/* Copies bytes to the back. STATUS_NO_MEMORY: unchanged. */
static inline enum status buffer_append(struct buffer **buffer, const char *bytes, size_t length) {
  struct buffer *now = *buffer;
  if (length == 0) return STATUS_OK;
  if (!now || now->capacity - now->end < length) return buffer_append_slow(buffer, bytes, length);
  memcpy(now->data + now->end, bytes, length);
  now->end += length;
  return STATUS_OK;
}

/* Drops bytes from the front, at most what is held; an emptied buffer is freed. */
void buffer_consume(struct buffer **buffer, size_t length);

void buffer_free(struct buffer **buffer);

#endif
