#include "io/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/pipe_channel.h"
#include "io/spawn.h"

enum {
  PATIENCE = 2000 /* ms between SIGTERM and SIGKILL. */
};

struct io_processes {
  struct processes processes; /* First, so that a pointer to it points to this. */
  struct polled_channels channels;
  struct world *world;
  char *const *environment;
  const char *path;
  struct running *first;
  struct running *ended; /* Freed at the end of the turn. */
  size_t count;          /* How many descriptors of processes are open. */
};

/* What start() has begun. */
struct running {
  struct event_handler event_handler; /* First, so that a pointer to it points to this. */
  struct ready turn;                  /* Queued until it begins. */
  struct timer timer;                 /* When the group is killed. */
  struct io_processes *processes;
  struct process *process; /* NULL: it was left. */
  const struct process_plan *plan;
  struct running *next;
  struct running *previous;
  pid_t pid;   /* 0: it has not begun. */
  int exit_fd; /* Becomes readable when the process has ended; -1: it was waited for. */
  bool has_ended;
  bool has_rest; /* It has ended, and others of its group had not. */
  bool is_stopping;
  bool is_killed; /* The group has got SIGKILL. */
  bool is_over;   /* It is in the list of what is freed. */
};

/* ---- life ---------------------------------------------------------------------------------- */

static void close_exit(struct running *running) {
  if (running->exit_fd < 0) return;
  poller_remove(running->processes->channels.poller, running->exit_fd);
  close(running->exit_fd);
  running->exit_fd = -1;
  running->processes->count--;
}

static void ignore(struct event_handler *event_handler, unsigned events) {
  (void)event_handler;
  (void)events;
}

/* An event of the turn may still name it. */
static void end(struct running *running) {
  struct io_processes *processes = running->processes;
  if (running->process) running->process->running = NULL;
  ready_remove(&processes->world->ready, &running->turn);
  timer_cancel(&processes->world->timers, &running->timer);
  close_exit(running);
  running->event_handler.on_event = ignore;
  running->is_over = true;
  if (running->previous)
    running->previous->next = running->next;
  else
    processes->first = running->next;
  if (running->next) running->next->previous = running->previous;
  running->next = processes->ended;
  processes->ended = running;
}

/* ---- groups -------------------------------------------------------------------------------- */

/* When the process was waited for, its number is that of its group as long as the group has a
 * process. If a process has the number, it is another one, and so is its group. */
static bool has_group(const struct running *running) {
  if (running->pid == 0) return false;
  if (!running->has_ended) return true;
  if (!running->has_rest || running->is_killed || kill(running->pid, 0) == 0 || errno != ESRCH)
    return false;
  return kill(-running->pid, 0) == 0 || errno == EPERM;
}

static bool signal_group(const struct running *running, int number) {
  return has_group(running) && kill(-running->pid, number) == 0;
}

static void end_if_over(struct running *running) {
  if (!running->is_over && !running->process && !has_group(running)) end(running);
}

static void kill_group(struct timer *timer) {
  struct running *running = (struct running *)((char *)timer - offsetof(struct running, timer));
  signal_group(running, SIGKILL);
  running->is_killed = true;
  end_if_over(running);
}

/* Without a timer nothing would kill it. A stopped process gets the signal when it goes on. */
static void stop_group(struct running *running) {
  struct timer_heap *timers = &running->processes->world->timers;
  if (running->is_stopping) return;
  running->is_stopping = true;
  int64_t until = clock_milliseconds() + PATIENCE;
  bool is_timed = timer_set(timers, &running->timer, until) == STATUS_OK;
  if (signal_group(running, is_timed ? SIGTERM : SIGKILL)) signal_group(running, SIGCONT);
}

static void on_ended(struct running *running, int status, bool is_ours) {
  struct process_end how = {.number = -1};
  if (is_ours && WIFSIGNALED(status))
    how = (struct process_end){true, WTERMSIG(status)};
  else if (is_ours)
    how.number = WEXITSTATUS(status);
  close_exit(running);
  running->has_ended = true;
  running->has_rest = kill(-running->pid, 0) == 0 || errno == EPERM;
  struct process *process = running->process;
  if (process) process->on_end(process, how);
  end_if_over(running);
}

static void on_exit_event(struct event_handler *event_handler, unsigned events) {
  struct running *running = (struct running *)event_handler;
  int status = 0;
  pid_t waited;
  (void)events;
  do waited = waitpid(running->pid, &status, WNOHANG);
  while (waited < 0 && errno == EINTR);
  if (waited != 0) on_ended(running, status, waited > 0);
}

/* ---- pipes --------------------------------------------------------------------------------- */

/* The ends of the three pipes, or -1. The program has the ends in `theirs`. */
struct ends {
  int ours[3];
  int theirs[3];
};

static void close_end(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void close_ends(struct ends *ends) {
  for (int i = 0; i < 3; i++) {
    close_end(&ends->ours[i]);
    close_end(&ends->theirs[i]);
  }
}

/* Descriptors below 3 are replaced in the child, one after the other. */
static bool raise_above_three(int *fd) {
  if (*fd >= 3) return true;
  int raised = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
  close_end(fd);
  *fd = raised;
  return raised >= 0;
}

static bool open_pipe(struct ends *ends, int place, bool is_input) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return false;
  ends->ours[place] = fds[is_input ? 1 : 0];
  ends->theirs[place] = fds[is_input ? 0 : 1];
  return fcntl(ends->ours[place], F_SETFL, O_NONBLOCK) == 0 &&
         raise_above_three(&ends->theirs[place]);
}

static bool open_empty_input(struct ends *ends) {
  ends->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return ends->theirs[0] >= 0 && raise_above_three(&ends->theirs[0]);
}

/* False: errno says why. */
static bool open_ends(struct ends *ends, const struct process_plan *plan) {
  *ends = (struct ends){{-1, -1, -1}, {-1, -1, -1}};
  if (!(plan->has_input ? open_pipe(ends, 0, true) : open_empty_input(ends))) return false;
  return open_pipe(ends, 1, false) && (plan->joins_errors || open_pipe(ends, 2, false));
}

/* Makes channels of our ends. Returns 0, or an errno value, and `start` has what was made. */
static int make_channels(struct io_processes *processes, struct ends *ends,
                         struct process_start *start) {
  struct channel **const made[] = {&start->input, &start->output, &start->errors};
  enum status status = STATUS_OK;
  for (int i = 0; i < 3 && status == STATUS_OK; i++) {
    int fd = ends->ours[i];
    ends->ours[i] = -1;
    if (fd >= 0) status = pipe_channel_create(&processes->channels, fd, i > 0, made[i]);
  }
  if (status == STATUS_OK) return 0;
  return status == STATUS_NO_MEMORY ? ENOMEM : EMFILE;
}

/* ---- starting ------------------------------------------------------------------------------ */

static enum process_error error_of(int error) {
  switch (error) {
  case ENOENT:
  case ENOTDIR: return PROCESS_NOT_FOUND;
  case EACCES:
  case EPERM: return PROCESS_DENIED;
  case EAGAIN:
  case EMFILE:
  case ENFILE:
  case ENOMEM: return PROCESS_BUSY;
  default: return PROCESS_FAILED;
  }
}

/* What has begun and cannot be watched is ended at once. */
static int watch_exit(struct running *running) {
  struct poller *poller = running->processes->channels.poller;
  int fd = (int)syscall(SYS_pidfd_open, running->pid, 0);
  int error = fd < 0 ? errno : 0;
  if (!error && poller_add(poller, fd, POLLER_READ, &running->event_handler) != STATUS_OK)
    error = EMFILE;
  if (!error) {
    running->exit_fd = fd;
    running->processes->count++;
    return 0;
  }
  if (fd >= 0) close(fd);
  (void)kill(-running->pid, SIGKILL);
  while (waitpid(running->pid, NULL, 0) < 0 && errno == EINTR) continue;
  running->pid = 0;
  return error;
}

/* Returns 0, or an errno value. The channels of `start` are the caller's, also if it fails. */
static int launch(struct running *running, struct process_start *start, bool *is_of_folder) {
  struct io_processes *processes = running->processes;
  struct process_plan process = *running->plan;
  struct ends ends;
  if (!process.environment) process.environment = processes->environment;
  int error = open_ends(&ends, &process) ? 0 : errno;
  if (!error) {
    int errors = process.joins_errors ? ends.theirs[1] : ends.theirs[2];
    const struct spawn_plan plan = {
        &process, processes->path, {ends.theirs[0], ends.theirs[1], errors}};
    error = make_channels(processes, &ends, start);
    if (!error) error = spawn_program(&plan, &running->pid, is_of_folder);
    if (!error) error = watch_exit(running);
  }
  close_ends(&ends);
  return error;
}

static void close_channels(const struct process_start *start) {
  struct channel *const channels[] = {start->input, start->output, start->errors};
  for (int i = 0; i < 3; i++)
    if (channels[i]) channels[i]->class->close(channels[i], true);
}

static void begin(struct ready *turn) {
  struct running *running = (struct running *)((char *)turn - offsetof(struct running, turn));
  struct process *process = running->process;
  struct process_start start = {0};
  bool is_of_folder = false;
  char why[256];
  int error = launch(running, &start, &is_of_folder);
  if (!error) {
    process->on_start(process, &start);
    return;
  }
  close_channels(&start);
  snprintf(why, sizeof why, "%.160s: %s",
           is_of_folder ? running->plan->folder : running->plan->arguments[0], strerror(error));
  running->pid = 0;
  end(running);
  start = (struct process_start){.error = error_of(error), .why = why};
  process->on_start(process, &start);
}

/* ---- what scripts ask for ------------------------------------------------------------------ */

static enum status start_process(struct processes *processes, const struct process_plan *plan,
                                 struct process *process) {
  struct io_processes *io = (struct io_processes *)processes;
  struct running *running = calloc(1, sizeof *running);
  if (!running) return STATUS_NO_MEMORY;
  *running = (struct running){.event_handler.on_event = on_exit_event,
                              .turn.run = begin,
                              .timer.expire = kill_group,
                              .processes = io,
                              .process = process,
                              .plan = plan,
                              .next = io->first,
                              .exit_fd = -1};
  if (running->next) running->next->previous = running;
  io->first = running;
  process->running = running;
  ready_add(&io->world->ready, &running->turn);
  return STATUS_OK;
}

static bool signal_process(struct process *process, int number) {
  return process->running && signal_group(process->running, number);
}

static void stop_process(struct process *process) {
  if (process->running) stop_group(process->running);
}

static void leave_process(struct process *process) {
  struct running *running = process->running;
  if (!running) return;
  process->running = NULL;
  running->process = NULL;
  if (running->pid != 0) stop_group(running);
  end_if_over(running);
}

/* ---- the loop ------------------------------------------------------------------------------ */

bool io_processes_free_ended(struct io_processes *processes) {
  bool has_any = processes->ended || processes->channels.closed;
  while (processes->ended) {
    struct running *running = processes->ended;
    processes->ended = running->next;
    free(running);
  }
  polled_channels_free_closed(&processes->channels);
  return has_any;
}

size_t io_processes_descriptors(const struct io_processes *processes) {
  return processes->count + processes->channels.descriptors;
}

static const char *find_path(char *const *environment) {
  for (; *environment; environment++)
    if (strncmp(*environment, "PATH=", 5) == 0) return *environment + 5;
  return "/usr/local/bin:/usr/bin:/bin";
}

enum status io_processes_create(struct poller *poller, struct world *world,
                                char *const *environment, struct io_processes **created) {
  static char *const nothing[] = {NULL};
  struct io_processes *processes = calloc(1, sizeof *processes);
  if (!processes) return STATUS_NO_MEMORY;
  if (!environment) environment = nothing;
  processes->processes = (struct processes){.start = start_process,
                                            .signal = signal_process,
                                            .stop = stop_process,
                                            .leave = leave_process};
  processes->channels.poller = poller;
  processes->world = world;
  processes->environment = environment;
  processes->path = find_path(environment);
  world->processes = &processes->processes;
  *created = processes;
  return STATUS_OK;
}

/* Waits until the process ends, up to a time. */
static void wait_for_end(const struct running *running, int64_t until) {
  int64_t left;
  struct pollfd exit = {running->exit_fd, POLLIN, 0};
  while (running->exit_fd >= 0 && (left = until - clock_milliseconds()) > 0)
    if (poll(&exit, 1, (int)left) > 0) return;
}

void io_processes_destroy(struct io_processes *processes) {
  if (!processes) return;
  struct running *next;
  int64_t until = clock_milliseconds() + PATIENCE;
  processes->world->processes = NULL;
  for (struct running *one = processes->first; one; one = one->next) stop_group(one);
  for (struct running *one = processes->first; one; one = next) {
    next = one->next;
    if (one->pid != 0 && !one->has_ended) {
      wait_for_end(one, until);
      signal_group(one, SIGKILL);
      wait_for_end(one, until + PATIENCE);
      on_exit_event(&one->event_handler, POLLER_READ);
    } else
      signal_group(one, SIGKILL);
  }
  while (processes->first) end(processes->first);
  polled_channels_break(&processes->channels);
  io_processes_free_ended(processes);
  free(processes);
}
