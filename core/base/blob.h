/* blob.h: bytes that several owners hold, counted.
 *
 * The bytes do not change. Not for several threads. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stddef.h>

struct blob {
  size_t users; /* How many hold it. */
  size_t length;
  char bytes[];
};

/* Copies the bytes into a blob that the caller holds. NULL: there is no memory. */
struct blob *blob_create(const char *bytes, size_t length);

/* One more holds the blob. */
void blob_retain(struct blob *blob);

/* One fewer holds it. The last one frees it. */
void blob_release(struct blob *blob);

#endif
