/* child.h: runs a program in a child process and captures its output.
 *
 * The child's standard input and standard error are /dev/null, and it inherits no other descriptor.
 * It leads a process group of its own, which is killed when the child ends: the processes that it
 * has started do not outlive it. It inherits the working folder and the resource limits, and has a
 * lower priority than the server.
 *
 * Only child_wait() and child_destroy() wait, and no child stays behind as a zombie. */
#ifndef IO_CHILD_H
#define IO_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/status.h"

struct child;

struct child_command {
  const char *program;      /* The path of the program. */
  char *const *arguments;   /* The name of the program, its arguments, and NULL. */
  char *const *environment; /* "NAME=VALUE" strings, and NULL. */
};

struct child_exit {
  int status; /* The exit status; -1: other code in this process has waited for the child. */
  int signal; /* The signal that ended it; 0: it ended by itself. */
};

/* Starts the program. STATUS_NO_MEMORY, or STATUS_ERROR: errno says why. */
enum status child_start(const struct child_command *plan, struct child **started);

/* Two descriptors to poll for reading; they are valid until child_destroy(). The output is to be
 * polled until child_read() has returned false. The exit descriptor becomes readable when the child
 * has ended. */
int child_output_fd(const struct child *child);
int child_exit_fd(const struct child *child);

/* Reads up to 64 KiB of output. False: no more will come. */
bool child_read(struct child *child);

/* Whether the child has ended, and how. Then child_text() is complete. */
bool child_has_exited(struct child *child, struct child_exit *end);

/* Like child_has_exited(), but waits up to `patience` ms for the end. */
bool child_wait(struct child *child, int64_t patience, struct child_exit *end);

/* Returns the processor time that the child itself has used, in ms; 0 when it has ended. */
int64_t child_processor_time(const struct child *child);

/* Returns the output so far. If there is much, only the beginning (56 KiB) and the end (8 KiB) are
 * kept. Valid until the next call with this child. */
struct span child_text(const struct child *child);

/* Kills the child and all processes of its group. child_has_exited() tells when it has ended. */
void child_kill(struct child *child);

/* Kills the child if it runs, waits for its end for up to a second, and frees. NULL is ignored. The
 * two descriptors must not be polled any more. */
void child_destroy(struct child *child);

#endif
