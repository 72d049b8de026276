/* span.h: a run of bytes that somebody else owns. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stddef.h>

/* The bytes need not be text and are not terminated; the pointer lives as long as its owner says.
 */
struct span {
  const char *data;
  size_t length;
};

#endif
