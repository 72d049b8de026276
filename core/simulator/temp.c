#include "simulator/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lauxlib.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors of a walk through a tree. */
enum { WALK_DESCRIPTORS = 16 };

/* ---- trees --------------------------------------------------------------------------------- */

/* nftw() hands its functions no argument: what is to be kept, or noted, stands here meanwhile, and
 * the root of the tree. */
static struct temp_contents *noted;
static const struct temp_contents *kept;
static const char *root;

static int note(const char *path, const struct stat *about, int type, struct FTW *where) {
  (void)about, (void)type;
  if (where->level == 0) return 0;
  char **grown = realloc(noted->paths, (noted->count + 1) * sizeof *grown);
  if (!grown) return 0;
  noted->paths = grown;
  grown[noted->count] = strdup(path);
  if (grown[noted->count]) noted->count++;
  return 0;
}

static bool is_kept(const char *path) {
  for (size_t i = 0; kept && i < kept->count; i++)
    if (strcmp(kept->paths[i], path) == 0) return true;
  return false;
}

static int drop(const char *path, const struct stat *about, int type, struct FTW *where) {
  (void)about, (void)type;
  if ((root && where->level == 0) || is_kept(path)) return 0;
  (void)remove(path); /* a folder with something in it that is kept stays */
  return 0;
}

/* Links are removed and not followed, nor other file systems entered. */
static void walk(const char *path, __nftw_func_t visit) {
  (void)nftw(path, visit, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void temp_note(const char *path, struct temp_contents *contents) {
  noted = contents;
  walk(path, note);
}

void temp_forget(struct temp_contents *contents) {
  for (size_t i = 0; i < contents->count; i++) free(contents->paths[i]);
  free(contents->paths);
  *contents = (struct temp_contents){0};
}

void temp_empty(const char *path, const struct temp_contents *contents) {
  kept = contents;
  root = path;
  walk(path, drop);
}

void temp_remove(const char *path) {
  kept = NULL;
  root = NULL;
  walk(path, drop);
}

/* ---- the folder of all --------------------------------------------------------------------- */

static bool is_to_be_clean;
static char base[PATH_MAX]; /* "": there is none yet */
static int life = -1;       /* a pipe that ends with this process */
static unsigned made;

void temp_keep_clean(void) { is_to_be_clean = true; }

/* A new folder in this one. */
static bool make_unique(const char *folder, char path[static PATH_MAX]) {
  char pattern[PATH_MAX];
  int length = snprintf(pattern, sizeof pattern, "%s/parlance-XXXXXX", folder);
  errno = ENAMETOOLONG;
  return length < (int)sizeof pattern && mkdtemp(pattern) && realpath(pattern, path);
}

/* The process beside this one: it makes the folder, tells its path, and removes it when `life`
 * ends. It is in a session of its own, which no signal for the process group, or from the terminal,
 * reaches, and keeps nothing open that somebody waits for the end of. */
static void make_and_remove(const char *folder, int told, int awaited) {
  char byte;
  setsid();
  signal(SIGPIPE, SIG_IGN);
  if (!make_unique(folder, base)) _exit(1);
  if (write(told, base, strlen(base)) < 0 || dup2(awaited, STDIN_FILENO) < 0) {
    temp_remove(base);
    _exit(1);
  }
  closefrom(STDERR_FILENO);
  close(STDOUT_FILENO);
  while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR) continue;
  temp_remove(base);
  _exit(0);
}

/* The path that is told until the pipe ends. */
static bool read_base(int told) {
  size_t length = 0;
  for (;;) {
    ssize_t got = read(told, base + length, sizeof base - 1 - length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    length += (size_t)got;
  }
  base[length] = '\0';
  return length > 0;
}

/* So that whenever this process is killed, there is somebody who knows of the folder. */
static bool make_base(const char *folder) {
  int told[2], alive[2];
  if (pipe2(told, O_CLOEXEC) != 0) return false;
  if (pipe2(alive, O_CLOEXEC) != 0) {
    close(told[0]);
    close(told[1]);
    return false;
  }
  pid_t pid = fork();
  if (pid == 0) {
    close(told[0]);
    close(alive[1]);
    make_and_remove(folder, told[1], alive[0]);
  }
  close(told[1]);
  close(alive[0]);
  bool is_made = pid > 0 && read_base(told[0]);
  close(told[0]);
  if (is_made)
    life = alive[1];
  else
    close(alive[1]);
  return is_made;
}

void temp_end(void) {
  if (base[0] == '\0') return;
  temp_remove(base);
  base[0] = '\0';
  if (life >= 0) close(life);
  life = -1;
}

static bool make(const char *folder, char path[static PATH_MAX]) {
  if (!is_to_be_clean) return make_unique(folder, path);
  if (base[0] == '\0' && !make_base(folder) && !make_unique(folder, base)) return false;
  errno = ENAMETOOLONG;
  int length = snprintf(path, PATH_MAX, "%.*s/%u", PATH_MAX - 32, base, ++made);
  return length < PATH_MAX && mkdir(path, 0700) == 0;
}

int temp_make(lua_State *L) {
  char path[PATH_MAX];
  const char *folder = luaL_checkstring(L, 1);
  if (make(folder, path)) {
    lua_pushstring(L, path);
    return 1;
  }
  lua_pushnil(L);
  lua_pushfstring(L, "cannot make a folder in %s: %s", folder, strerror(errno));
  return 2;
}
