/* status.h: what a call of the core answers when it can fail.
 *
 * Functions return a status; results go out through trailing pointers. STATUS_ERROR leaves the
 * reason in errno for the one place that logs it. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

enum status {
  STATUS_OK,
  STATUS_AGAIN,     /* nothing to be had now without waiting */
  STATUS_CLOSED,    /* the other side has ended the stream in order */
  STATUS_NO_MEMORY, /* an allocation failed; what was there before is unharmed */
  STATUS_FULL,      /* a fixed capacity is used up (descriptors, a select set) */
  STATUS_ERROR      /* the system refused: errno says why */
};

#endif
