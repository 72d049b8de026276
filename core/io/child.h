/* child.h: a program that runs beside this process, and what it prints.
 *
 * It reads nothing, what it writes to standard error is lost, and it is given no descriptor but
 * these three. It leads a process group of its own, which ends with it: what it has started itself
 * does not outlive it. Folder and limits are this process's; it is a little less in a hurry, so
 * that it takes no time from those who are served.
 *
 * Nothing here waits but child_wait() and child_destroy(), and no child stays behind as a zombie.
 */
#ifndef IO_CHILD_H
#define IO_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/status.h"

struct child;

struct child_command {
  const char *program;      /* its path */
  char *const *arguments;   /* its name first, and NULL at the end */
  char *const *environment; /* "NAME=VALUE", and NULL at the end */
};

struct child_exit {
  int status; /* what it returned; -1: somebody else has taken that */
  int signal; /* what ended it; 0: it ended by itself */
};

/* Starts it. STATUS_NO_MEMORY, or STATUS_ERROR: errno says why. */
enum status child_start(const struct child_command *plan, struct child **started);

/* What is to be polled for reading, for as long as the child is there: what it prints, until
 * child_read() has said false, and its life, which becomes readable when it has ended. */
int child_output_fd(const struct child *child);
int child_exit_fd(const struct child *child);

/* Takes what it has printed, 64 KiB at most. False: it will print no more. */
bool child_read(struct child *child);

/* Whether it has ended, and how; then child_text() is complete. */
bool child_has_exited(struct child *child, struct child_exit *end);

/* The same for a program that ends soon: waits for that, `patience` ms at most. */
bool child_wait(struct child *child, int64_t patience, struct child_exit *end);

/* What it has printed so far: of very much the beginning (56 KiB) and the end (8 KiB). Valid until
 * the child is next called. */
struct span child_text(const struct child *child);

/* Ends it, and all that it has started: child_has_exited() will tell. */
void child_kill(struct child *child);

/* Ends it if it has not ended, waits for that, a second at most, and frees. NULL is ignored. Its
 * descriptors must not be polled any more. */
void child_destroy(struct child *child);

#endif
