#include "io/spawn.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child tells its parent, whose memory it shares. Volatile, because for the compiler what
 * the child does before it ends has no effect. */
struct failure {
  volatile int error; /* 0: the program runs. */
  volatile bool is_of_folder;
};

/* ---- in the child: only functions that are safe in a signal handler ---------------------------
 */

/* Until the program runs, a handler of the parent would run in the parent's memory. */
static void reset_signals(void) {
  struct sigaction action;
  sigset_t none;
  for (int number = 1; number < NSIG; number++) {
    if (sigaction(number, NULL, &action) != 0) continue;
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
    action = (struct sigaction){.sa_handler = SIG_DFL};
    (void)sigaction(number, &action, NULL);
  }
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A limit that is there already is not raised. With `grace`, the soft limit is reached before. */
static bool set_limit(__rlimit_resource_t resource, int64_t value, rlim_t grace) {
  struct rlimit limit;
  if (value == PROCESS_NO_LIMIT) return true;
  if (getrlimit(resource, &limit) != 0) return false;
  rlim_t most = limit.rlim_max, wanted = (rlim_t)value;
  limit.rlim_cur = wanted < most ? wanted : most;
  limit.rlim_max = wanted + grace < most ? wanted + grace : most;
  return setrlimit(resource, &limit) == 0;
}

/* The program gets SIGXCPU, and SIGKILL a second later. */
static bool set_limits(const struct process_plan *plan) {
  return set_limit(RLIMIT_CPU, plan->cpu, 1) && set_limit(RLIMIT_AS, plan->memory, 0) &&
         set_limit(RLIMIT_NOFILE, plan->files, 0);
}

static bool set_descriptors(const int fds[3]) {
  for (int i = 0; i < 3; i++)
    if (dup2(fds[i], i) < 0) return false;
  closefrom(STDERR_FILENO + 1);
  return true;
}

/* Tries the folders one after the other. A file that cannot be run does not end the search. */
static void execute_in_path(const char *path, char *const *arguments, char *const *environment) {
  char place[PATH_MAX];
  size_t length = strlen(arguments[0]);
  int error = ENOENT;
  while (*path) {
    size_t folder = strcspn(path, ":");
    if (*path == '/' && folder + 1 + length < sizeof place) {
      memcpy(place, path, folder);
      place[folder] = '/';
      memcpy(place + folder + 1, arguments[0], length + 1);
      execve(place, arguments, environment);
      if (errno != ENOENT && errno != ENOTDIR && error == ENOENT) error = errno;
      if (error != ENOENT && error != EACCES) break;
    }
    path += folder;
    if (*path) path++;
  }
  errno = error;
}

static void run(const struct spawn_plan *plan, struct failure *failure) {
  const struct process_plan *process = plan->process;
  bool is_ready = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 &&
                  set_descriptors(plan->fds) && set_limits(process);
  if (is_ready && process->folder && chdir(process->folder) != 0) {
    failure->is_of_folder = true;
    is_ready = false;
  }
  if (is_ready) {
    reset_signals();
    if (strchr(process->arguments[0], '/'))
      execve(process->arguments[0], process->arguments, process->environment);
    else
      execute_in_path(plan->path, process->arguments, process->environment);
  }
  failure->error = errno;
  _exit(127);
}

/* ---- in the parent -----------------------------------------------------------------------------
 */

/* The parent goes on when the program runs. fork() would copy the tables of all its memory, which
 * takes long in a large server, and posix_spawn() cannot set limits. The function has no variables
 * that the child could change. */
static __attribute__((noinline)) pid_t start(const struct spawn_plan *plan,
                                             struct failure *failure) {
  pid_t pid = vfork();              /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
  if (pid == 0) run(plan, failure); /* NOLINT(clang-analyzer-unix.Vfork) */
  return pid;
}

void spawn_restore_sigchld(void) {
  struct sigaction action;
  if (sigaction(SIGCHLD, NULL, &action) != 0 || action.sa_handler != SIG_IGN) return;
  action = (struct sigaction){.sa_handler = SIG_DFL};
  sigaction(SIGCHLD, &action, NULL);
}

int spawn_program(const struct spawn_plan *plan, pid_t *pid, bool *is_of_folder) {
  struct failure failure = {0};
  sigset_t all, old;
  spawn_restore_sigchld();
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  *pid = start(plan, &failure);
  int error = *pid < 0 ? errno : failure.error;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (*pid > 0 && error)
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) continue;
  *is_of_folder = failure.is_of_folder;
  return error;
}
