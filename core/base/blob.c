#include "base/blob.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct blob *blob_create(const char *bytes, size_t length) {
  struct blob *blob = malloc(sizeof *blob + length);
  if (!blob) return NULL;
  blob->users = 1;
  blob->length = length;
  if (length > 0) memcpy(blob->bytes, bytes, length);
  return blob;
}

void blob_retain(struct blob *blob) { blob->users++; }

void blob_release(struct blob *blob) {
  assert(blob->users > 0);
  if (--blob->users == 0) free(blob);
}
