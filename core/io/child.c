#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/spawn.h"

enum {
  HEAD = 56 * 1024, /* Bytes kept of the beginning of the output. */
  TAIL = 8 * 1024,  /* Bytes kept of its end. */
  CHUNK = 4096,     /* Bytes of one read(), at most TAIL. */
  READS = 16,       /* Calls of read() in child_read(): together they empty a pipe. */
  NICENESS = 5,
  PATIENCE = 1000 /* The ms that child_destroy() waits for a child that was killed. */
};

struct child {
  pid_t pid;
  int output_fd;
  int exit_fd;
  bool has_ended;
  struct child_exit end;
  size_t length;
  char text[HEAD + TAIL];
};

/* Closes all other descriptors: a script may have opened some without O_CLOEXEC. */
static int plan_descriptors(posix_spawn_file_actions_t *actions, int output) {
  int error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (!error) error = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
  if (!error)
    error = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  if (!error) error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
  return error;
}

static int plan_attributes(posix_spawnattr_t *attributes) {
  sigset_t none;
  sigemptyset(&none);
  int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  if (!error) error = posix_spawnattr_setpgroup(attributes, 0);
  if (!error) error = posix_spawnattr_setsigmask(attributes, &none);
  return error;
}

/* Returns 0 or an errno value. */
static int spawn(const struct child_command *plan, int output, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int error = posix_spawn_file_actions_init(&actions);
  if (error) return error;
  error = posix_spawnattr_init(&attributes);
  if (!error) {
    error = plan_descriptors(&actions, output);
    if (!error) error = plan_attributes(&attributes);
    if (!error)
      error = posix_spawn(pid, plan->program, &actions, &attributes, plan->arguments,
                          plan->environment);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

/* Returns 0 or an errno value. */
static int start(struct child *child, const struct child_command *plan) {
  int ends[2];
  spawn_restore_sigchld();
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  child->output_fd = ends[0];
  int error = fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 ? errno : 0;
  if (!error) error = spawn(plan, ends[1], &child->pid);
  close(ends[1]);
  if (error) {
    child->pid = 0;
    return error;
  }
  child->exit_fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
  if (child->exit_fd < 0) {
    error = errno;
    child_kill(child);
    (void)waitpid(child->pid, NULL, 0);
    child->pid = 0;
    return error;
  }
  (void)setpriority(PRIO_PROCESS, (id_t)child->pid, NICENESS);
  return 0;
}

enum status child_start(const struct child_command *plan, struct child **started) {
  struct child *child = calloc(1, sizeof *child);
  if (!child) return STATUS_NO_MEMORY;
  child->output_fd = child->exit_fd = -1;
  int error = start(child, plan);
  if (!error) {
    *started = child;
    return STATUS_OK;
  }
  child_destroy(child);
  errno = error;
  return STATUS_ERROR;
}

int child_output_fd(const struct child *child) { return child->output_fd; }

int child_exit_fd(const struct child *child) { return child->exit_fd; }

int64_t child_processor_time(const struct child *child) {
  clockid_t clock;
  struct timespec used;
  if (clock_getcpuclockid(child->pid, &clock) != 0 || clock_gettime(clock, &used) != 0) return 0;
  return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* Appends to the text. If it is full, the oldest bytes of its tail are dropped. */
static void keep(struct child *child, const char *bytes, size_t length) {
  size_t room = sizeof child->text - child->length;
  if (length > room) {
    size_t excess = length - room;
    memmove(child->text + HEAD, child->text + HEAD + excess, TAIL - excess);
    child->length -= excess;
  }
  memcpy(child->text + child->length, bytes, length);
  child->length += length;
}

bool child_read(struct child *child) {
  char bytes[CHUNK];
  for (int i = 0; i < READS; i++) {
    ssize_t got = read(child->output_fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    keep(child, bytes, (size_t)got);
  }
  return true;
}

struct span child_text(const struct child *child) {
  return (struct span){child->text, child->length};
}

/* Until somebody has waited for the child, no other process or group can have its number. */
void child_kill(struct child *child) {
  if (!child->has_ended) kill(-child->pid, SIGKILL);
}

/* Waits for the child if it has ended. The rest of its group is killed before, while no other group
 * can have its number. */
static void reap(struct child *child) {
  siginfo_t info = {.si_pid = 0};
  int status;
  bool is_ours = waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  if (is_ours && info.si_pid == 0) return;
  if (is_ours) child_kill(child);
  child->has_ended = true;
  if (!is_ours || waitpid(child->pid, &status, 0) != child->pid)
    child->end.status = -1;
  else if (WIFSIGNALED(status))
    child->end.signal = WTERMSIG(status);
  else
    child->end.status = WEXITSTATUS(status);
}

bool child_has_exited(struct child *child, struct child_exit *end) {
  if (!child->has_ended) {
    reap(child);
    if (!child->has_ended) return false;
    (void)child_read(child);
  }
  *end = child->end;
  return true;
}

bool child_wait(struct child *child, int64_t patience, struct child_exit *end) {
  int64_t deadline = clock_milliseconds() + patience, left = patience;
  struct pollfd fds[] = {{child->output_fd, POLLIN, 0}, {child->exit_fd, POLLIN, 0}};
  while (!child_has_exited(child, end)) {
    if (left <= 0) return false;
    int ready = poll(fds, sizeof fds / sizeof *fds, (int)left);
    if (ready > 0 && fds[0].revents != 0 && !child_read(child)) fds[0].fd = -1;
    left = deadline - clock_milliseconds();
  }
  return true;
}

void child_destroy(struct child *child) {
  struct child_exit end;
  if (!child) return;
  if (child->pid > 0 && !child->has_ended) {
    child_kill(child);
    (void)child_wait(child, PATIENCE, &end);
  }
  if (child->output_fd >= 0) close(child->output_fd);
  if (child->exit_fd >= 0) close(child->exit_fd);
  free(child);
}
