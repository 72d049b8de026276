/* processes.h: how a script runs other programs: what a world may offer.
 *
 * A process is a member of the struct that it belongs to (intrusive), and is all zeros but for its
 * two functions. What happens to it is told by the loop, never from within the call that asked. */
#ifndef BASE_PROCESSES_H
#define BASE_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/status.h"

enum process_error {
  PROCESS_OK,
  PROCESS_NOT_FOUND, /* There is no such program, or no such folder. */
  PROCESS_DENIED,    /* The system does not permit it. */
  PROCESS_BUSY,      /* No process, descriptor or memory is left now. */
  PROCESS_FAILED     /* Everything else, such as a file that is no program. */
};

enum { PROCESS_NO_LIMIT = -1 };

struct process_plan {
  char *const *arguments;   /* The program, its arguments, and NULL. */
  char *const *environment; /* "NAME=VALUE" strings, and NULL; NULL: that of the server. */
  const char *folder;       /* The working folder; NULL: that of the server. */
  int64_t cpu;              /* Seconds of processor time, or PROCESS_NO_LIMIT. */
  int64_t memory;           /* Bytes of address space, or PROCESS_NO_LIMIT. */
  int64_t files;            /* Open descriptors, or PROCESS_NO_LIMIT. */
  bool has_input;           /* Its standard input is a pipe; else it is empty. */
  bool joins_errors;        /* Its standard error is its standard output; else it is a pipe. */
};

/* Channels that belong to the process's owner from now on. NULL: there is no such pipe. */
struct process_start {
  enum process_error error; /* If it is not PROCESS_OK, there is no process and no channel. */
  const char *why;          /* Valid during the call. */
  struct channel *input;    /* Can only be sent to. */
  struct channel *output;   /* Can only be received from. */
  struct channel *errors;   /* The same. */
};

struct process_end {
  bool is_signal;
  int number; /* The exit status, or the signal; -1: other code has waited for the process. */
};

struct process {
  void (*on_start)(struct process *process, const struct process_start *start);
  void (*on_end)(struct process *process, struct process_end end);
  void *running; /* The world's; NULL: there is none, or it was left. */
};

struct processes {
  /* Begins to start a program in a process group of its own. What the plan points to must stay
   * until on_start() is called. STATUS_NO_MEMORY. */
  enum status (*start)(struct processes *processes, const struct process_plan *plan,
                       struct process *process);

  /* Sends a signal to all processes of the group. False: there are none. */
  bool (*signal)(struct process *process, int number);

  /* Ends the group: SIGTERM now, and SIGKILL when that has not helped for two seconds. */
  void (*stop)(struct process *process);

  /* The same, and nothing is told any more. */
  void (*leave)(struct process *process);
};

#endif
