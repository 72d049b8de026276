/* spawn.h: starts a program in a child process. Private to the io room.
 *
 * The child leads a process group of its own, has the default handling of all signals that this
 * process handles, and inherits no descriptor but the three that it is given. It gets SIGTERM if
 * this process dies. */
#ifndef IO_SPAWN_H
#define IO_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/processes.h"

struct spawn_plan {
  const struct process_plan *process; /* With an environment. */
  const char *path; /* Where programs are looked for: folders, with ":" between. */
  int fds[3];       /* Its first three descriptors, none of them below 3. */
};

/* Starts the program and waits until it runs, or cannot. A name without "/" is looked for in the
 * folders of `path` that begin with "/". Returns 0, or an errno value; *is_of_folder tells whether
 * the working folder has caused it. */
int spawn_program(const struct spawn_plan *plan, pid_t *pid, bool *is_of_folder);

/* Gives SIGCHLD its default handling if it is ignored, which processes inherit: nobody would be
 * told how children end. */
void spawn_restore_sigchld(void);

#endif
