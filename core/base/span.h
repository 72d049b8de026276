/* span.h: a pointer to bytes and their number. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stddef.h>

/* The bytes need not be text and have no terminator. A span does not own them: the function that
 * returns it tells how long it is valid. */
struct span {
  const char *data;
  size_t length;
};

#endif
