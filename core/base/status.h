/* status.h: the result of a function that can fail.
 *
 * Functions return a status; results go out through trailing pointers. STATUS_ERROR leaves the
 * reason in errno for the one place that logs it. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

enum status {
  STATUS_OK,
  STATUS_AGAIN,     /* The call would have to wait. */
  STATUS_CLOSED,    /* The peer has ended the stream in order; of a file: it has ended. */
  STATUS_NO_MEMORY, /* An allocation failed; nothing has changed. */
  STATUS_FULL,      /* A fixed capacity is used up (descriptors, a select set). */
  STATUS_ERROR      /* A system call failed, and errno says why. */
};

#endif
