#include "simulator/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is in a folder ------------------------------------------------------------------- */

static FTS *open_tree(const char *path) {
  char *const roots[] = {(char *)path, NULL};
  return fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
}

/* Returns the next entry, or NULL. What is in a folder comes before the folder. */
static const FTSENT *next_entry(FTS *tree) {
  const FTSENT *entry = fts_read(tree);
  while (entry && entry->fts_info == FTS_D) entry = fts_read(tree);
  return entry;
}

void temp_note(const char *path, struct temp_contents *contents) {
  FTS *tree = open_tree(path);
  if (!tree) return;
  for (const FTSENT *entry = next_entry(tree); entry; entry = next_entry(tree)) {
    if (entry->fts_level == FTS_ROOTLEVEL) continue;
    char **grown = realloc(contents->paths, (contents->count + 1) * sizeof *grown);
    if (!grown) break;
    contents->paths = grown;
    grown[contents->count] = strdup(entry->fts_path);
    if (grown[contents->count]) contents->count++;
  }
  fts_close(tree);
}

void temp_forget(struct temp_contents *contents) {
  for (size_t i = 0; i < contents->count; i++) free(contents->paths[i]);
  free(contents->paths);
  *contents = (struct temp_contents){0};
}

static bool has(const struct temp_contents *contents, const char *path) {
  for (size_t i = 0; i < contents->count; i++)
    if (strcmp(contents->paths[i], path) == 0) return true;
  return false;
}

void temp_empty(const char *path, const struct temp_contents *contents) {
  FTS *tree = open_tree(path);
  if (!tree) return;
  for (const FTSENT *entry = next_entry(tree); entry; entry = next_entry(tree)) {
    if (entry->fts_level == FTS_ROOTLEVEL || has(contents, entry->fts_path)) continue;
    (void)remove(entry->fts_path); /* fails for a folder in which something is kept */
  }
  fts_close(tree);
}

void temp_remove(const char *path) {
  temp_empty(path, &(struct temp_contents){0});
  (void)rmdir(path);
}

/* ---- the parent folder --------------------------------------------------------------------- */

static bool is_to_be_clean;
static char base[PATH_MAX]; /* The path of the parent folder; "": it does not exist. */
static int life = -1;       /* The end of a pipe that the kernel closes with this process. */
static unsigned made;       /* How many folders were made in the parent folder. */

void temp_keep_clean(void) { is_to_be_clean = true; }

/* Runs in the second process: removes the parent folder when the pipe ends. It has a session of its
 * own, so that no signal for the tool's process group or terminal ends it, and keeps no descriptor
 * open whose end another process waits for. */
static void remove_at_end(int awaited) {
  char byte;
  setsid();
  if (dup2(awaited, STDIN_FILENO) < 0) _exit(1);
  close(STDOUT_FILENO);
  closefrom(STDERR_FILENO);
  while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR) continue;
  temp_remove(base);
  _exit(0);
}

static void close_base(void) {
  base[0] = '\0';
  if (life >= 0) close(life);
  life = -1;
}

void temp_end(void) {
  if (base[0] == '\0') return;
  temp_remove(base);
  close_base();
}

/* Chooses the path first and starts the second process before it makes the folder, so that the
 * folder is removed whenever this process is killed. */
static bool make_base(const char *folder) {
  int ends[2];
  uint64_t number;
  char real[PATH_MAX];
  if (!realpath(folder, real) || getrandom(&number, sizeof number, 0) < 0) return false;
  if (snprintf(base, sizeof base, "%s/parlance-%016" PRIx64, real, number) >= (int)sizeof base) {
    close_base();
    errno = ENAMETOOLONG;
    return false;
  }
  if (pipe2(ends, O_CLOEXEC) == 0) {
    if (fork() == 0) remove_at_end(ends[0]);
    close(ends[0]);
    life = ends[1];
  }
  if (mkdir(base, 0700) == 0) return true;
  int error = errno;
  close_base();
  errno = error;
  return false;
}

/* Makes a folder in this one, which nobody removes when this process is killed. */
static bool make_alone(const char *folder, char path[static PATH_MAX]) {
  char pattern[PATH_MAX];
  int length = snprintf(pattern, sizeof pattern, "%s/parlance-XXXXXX", folder);
  errno = ENAMETOOLONG;
  return length < (int)sizeof pattern && mkdtemp(pattern) && realpath(pattern, path);
}

static bool make(const char *folder, char path[static PATH_MAX]) {
  if (!is_to_be_clean) return make_alone(folder, path);
  if (base[0] == '\0' && !make_base(folder)) return false;
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
