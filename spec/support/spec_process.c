/* spec_process.c: child processes that cannot outlive the spec runner, and their memory, processor
 * time and descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char process_class[] = "parlance_spec.process";

struct process {
  pid_t pid; /* 0: not started. */
  bool ended;
  int status; /* The status of waitpid(). */
};

/* The arguments of spawn(). All pointers point into values on the Lua stack. */
struct plan {
  char **argv;
  char **environment; /* NAME=VALUE strings, added to the environment of this process. */
  const char *out;
  const char *err;
  const char *directory;
  int *passed; /* Descriptors that become 3, 4 ... in the child, as systemd passes sockets. */
  int passed_count;
  lua_Integer descriptors; /* The limit of descriptors; 0: the limit of this process. */
};

/* --- spawn --- */

/* Puts a NULL-terminated array of the list's strings on the stack; the list keeps them alive. */
static char **push_strings(lua_State *L, int list) {
  size_t count = (size_t)lua_rawlen(L, list);
  char **strings = lua_newuserdatauv(L, (count + 1) * sizeof *strings, 0);
  for (size_t i = 0; i < count; i++) {
    if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TSTRING)
      luaL_error(L, "item %d is not a string", (int)i + 1);
    strings[i] = (char *)(uintptr_t)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  strings[count] = NULL;
  return strings;
}

/* Turns the table on top, { NAME = value }, into a list of "NAME=value"s. */
static void push_assignments(lua_State *L) {
  int table = lua_gettop(L);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pushvalue(L, -2);
    lua_pushfstring(L, "%s=%s", luaL_checkstring(L, -1), luaL_checkstring(L, -2));
    lua_rawseti(L, table + 1, (lua_Integer)lua_rawlen(L, table + 1) + 1);
    lua_pop(L, 2);
  }
}

/* A string field of the options at index 2, or NULL; it stays on the stack. */
static const char *string_option(lua_State *L, const char *name) {
  return lua_getfield(L, 2, name) == LUA_TNIL ? NULL : luaL_checkstring(L, -1);
}

/* The list of descriptors on top, in memory that stays on the stack. */
static void read_passed(lua_State *L, struct plan *plan) {
  int list = lua_gettop(L), count = (int)lua_rawlen(L, list);
  plan->passed = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *plan->passed, 0);
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, list, i + 1);
    plan->passed[i] = (int)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  plan->passed_count = count;
}

static void read_options(lua_State *L, struct plan *plan) {
  plan->out = string_option(L, "stdout");
  plan->err = string_option(L, "stderr");
  plan->directory = string_option(L, "cwd");
  lua_getfield(L, 2, "rlimit_nofile");
  plan->descriptors = luaL_optinteger(L, -1, 0);
  if (lua_getfield(L, 2, "pass") == LUA_TTABLE) read_passed(L, plan);
  if (lua_getfield(L, 2, "env") == LUA_TNIL) return;
  luaL_checktype(L, -1, LUA_TTABLE);
  push_assignments(L);
  plan->environment = push_strings(L, lua_gettop(L));
}

static bool redirect(const char *path, int flags, int to) {
  int fd = open(path, flags, 0666);
  return fd >= 0 && dup2(fd, to) == to;
}

/* Takes all of them out of the way first, because one may have the number that another is to get.
 */
static bool pass_descriptors(const struct plan *plan) {
  enum { SAFE = 512 };
  for (int i = 0; i < plan->passed_count; i++)
    if (dup2(plan->passed[i], SAFE + i) < 0) return false;
  for (int i = 0; i < plan->passed_count; i++)
    if (dup2(SAFE + i, 3 + i) < 0 || close(SAFE + i) < 0) return false;
  char number[16];
  snprintf(number, sizeof number, "%d", (int)getpid());
  setenv("LISTEN_PID", number, 1);
  snprintf(number, sizeof number, "%d", plan->passed_count);
  return setenv("LISTEN_FDS", number, 1) == 0;
}

static bool prepare_child(const struct plan *plan) {
  const int writing = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (!redirect("/dev/null", O_RDONLY, STDIN_FILENO)) return false;
  if (plan->out && !redirect(plan->out, writing, STDOUT_FILENO)) return false;
  if (plan->err && !redirect(plan->err, writing, STDERR_FILENO)) return false;
  if (plan->directory && chdir(plan->directory) < 0) return false;
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return false; /* The spec's own. */
  if (plan->passed && !pass_descriptors(plan)) return false;
  for (char **item = plan->environment; item && *item; item++) putenv(*item);
  if (plan->descriptors > 0) {
    rlim_t most = (rlim_t)plan->descriptors;
    if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){most, most}) < 0) return false;
  }
  return true;
}

/* Does not return. If it fails before exec, it writes errno to the pipe. */
static void run_child(const struct plan *plan, pid_t parent, int complaints) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127); /* The parent has died already. */
  const char *program = plan->argv[0];
  complaints = fcntl(complaints, F_DUPFD_CLOEXEC, 256); /* Passed descriptors begin at 3. */
  if (program && prepare_child(plan)) execvp(program, plan->argv);
  int error = errno;
  (void)!write(complaints, &error, sizeof error);
  _exit(127);
}

/* Returns 0, or the errno value of the parent or the child. */
static int start(struct process *process, const struct plan *plan) {
  int pipe_fds[2];
  int error = 0;
  pid_t parent = getpid();
  if (pipe2(pipe_fds, O_CLOEXEC) < 0) return errno;
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) run_child(plan, parent, pipe_fds[1]);
  if (pid < 0) error = errno;
  close(pipe_fds[1]);
  if (pid > 0 && read(pipe_fds[0], &error, sizeof error) == (ssize_t)sizeof error)
    waitpid(pid, NULL, 0);
  close(pipe_fds[0]);
  if (!error) process->pid = pid;
  return error;
}

/* process.spawn(argv, { stdout = path, stderr = path, cwd = path, env = { NAME = value },
 *                       pass = { descriptor, ... }, rlimit_nofile = n }) -> process, or nil,
 * "error", errno's name */
static int spawn(lua_State *L) {
  lua_settop(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argcheck(L, lua_rawlen(L, 1) > 0, 1, "empty");
  struct plan plan = {.argv = push_strings(L, 1)};
  if (!lua_isnil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    read_options(L, &plan);
  }
  struct process *process = lua_newuserdatauv(L, sizeof *process, 0);
  *process = (struct process){0};
  luaL_setmetatable(L, process_class);
  int error = start(process, &plan);
  if (!error) return 1;
  errno = error;
  return spec_failure(L, STATUS_ERROR);
}

/* --- waiting --- */

static struct process *check_process(lua_State *L) { return luaL_checkudata(L, 1, process_class); }

static void reap(struct process *process, int flags) {
  pid_t got;
  if (!process->pid || process->ended) return;
  do got = waitpid(process->pid, &process->status, flags);
  while (got < 0 && errno == EINTR);
  process->ended = got != 0;
}

/* Waits for the end of the process on a pidfd. */
static void wait_until(struct process *process, int64_t deadline) {
  int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
  struct pollfd watched = {.fd = fd, .events = POLLIN};
  int64_t left = deadline - clock_milliseconds();
  while (left > 0 && poll(&watched, 1, (int)left) < 0 && errno == EINTR)
    left = deadline - clock_milliseconds();
  if (fd >= 0) close(fd);
}

/* process:wait(seconds) -> the exit status and "exit", or 128 + the signal and "signal", or nil and
 * "timeout" */
static int wait_for_process(lua_State *L) {
  struct process *process = check_process(L);
  int64_t deadline = clock_milliseconds() + (int64_t)(luaL_checknumber(L, 2) * 1000);
  reap(process, WNOHANG);
  if (!process->ended) wait_until(process, deadline);
  reap(process, WNOHANG);
  if (!process->ended) {
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
  }
  bool signalled = WIFSIGNALED(process->status);
  lua_pushinteger(L, signalled ? 128 + WTERMSIG(process->status) : WEXITSTATUS(process->status));
  lua_pushstring(L, signalled ? "signal" : "exit");
  return 2;
}

/* process:signal(number) -> whether there was a process to take it */
static int signal_process(lua_State *L) {
  struct process *process = check_process(L);
  int number = (int)luaL_checkinteger(L, 2);
  reap(process, WNOHANG);
  lua_pushboolean(L, process->pid && !process->ended && kill(process->pid, number) == 0);
  return 1;
}

static int close_process(lua_State *L) {
  struct process *process = check_process(L);
  if (process->pid && !process->ended) kill(process->pid, SIGKILL);
  reap(process, 0);
  return 0;
}

static int pid_of_process(lua_State *L) {
  lua_pushinteger(L, check_process(L)->pid);
  return 1;
}

/* --- usage of a process object, of a process number, or, without argument, of this process --- */

static pid_t check_pid(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return getpid();
  if (lua_isinteger(L, 1)) return (pid_t)lua_tointeger(L, 1);
  return check_process(L)->pid;
}

/* Reads /proc/PID/name as text; false if the process is gone. */
static bool read_proc(pid_t pid, const char *name, char *text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read(fd, text, size - 1);
  close(fd);
  text[length > 0 ? length : 0] = '\0';
  return length > 0;
}

static int push_gone(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "gone");
  return 2;
}

/* memory() -> resident KiB */
static int memory(lua_State *L) {
  char text[4096];
  const char *line;
  if (!read_proc(check_pid(L), "status", text, sizeof text)) return push_gone(L);
  line = strstr(text, "\nVmRSS:");
  if (!line) return push_gone(L);
  lua_pushinteger(L, strtoll(line + sizeof "\nVmRSS:" - 1, NULL, 10));
  return 1;
}

/* cpu() -> seconds of user and system time */
static int cpu(lua_State *L) {
  char text[1024];
  char *field;
  if (!read_proc(check_pid(L), "stat", text, sizeof text)) return push_gone(L);
  field = strrchr(text, ')'); /* The name of the program before it may contain any byte. */
  for (int i = 0; field && i < 12; i++) field = strchr(field + 1, ' ');
  if (!field) return push_gone(L);
  long long user = strtoll(field, &field, 10);
  long long kernel = strtoll(field, NULL, 10);
  lua_pushnumber(L, (lua_Number)(user + kernel) / (lua_Number)sysconf(_SC_CLK_TCK));
  return 1;
}

/* descriptors() -> how many are open */
static int descriptors(lua_State *L) {
  char path[64];
  pid_t pid = check_pid(L);
  lua_Integer count = pid == getpid() ? -1 : 0; /* Without the descriptor of this folder. */
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  DIR *directory = opendir(path);
  if (!directory) return push_gone(L);
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
    if (entry->d_name[0] != '.') count++;
  closedir(directory);
  lua_pushinteger(L, count);
  return 1;
}

/* now() -> seconds of the monotonic clock */
static int now(lua_State *L) {
  lua_pushnumber(L, clock_seconds());
  return 1;
}

int spec_open_process(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"pid", pid_of_process},      {"signal", signal_process},
      {"wait", wait_for_process},   {"close", close_process},
      {"memory", memory},           {"cpu", cpu},
      {"descriptors", descriptors}, {NULL, NULL},
  };
  static const luaL_Reg functions[] = {
      {"spawn", spawn}, {"memory", memory}, {"cpu", cpu}, {"descriptors", descriptors},
      {"now", now},     {NULL, NULL},
  };
  arguments_add_class(L, process_class, methods, close_process);
  luaL_newlib(L, functions);
  return 1;
}
