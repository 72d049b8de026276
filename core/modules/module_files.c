#include "modules/module_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "script/file_value.h"

static const char *const root_type = "parlance.files.Root";
static const char *const folder_type = "parlance.files.Folder";

/* Opening a FIFO without a writer must not block, and a child must not inherit the descriptor. */
enum { READING = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY };

/* How often a look-up is tried if a rename disturbs it. */
enum { TRIES = 8 };

/* The default limit of list(). */
enum { DEFAULT_ENTRIES = 10000 };

struct root {
  int fd; /* -1: the root is closed. */
  bool follows_links;
};

/* ---- opening beneath a root ---------------------------------------------------------------- */

static void close_keeping_errno(int fd) {
  int error = errno;
  close(fd);
  errno = error;
}

/* Opens a path. The kernel refuses every way out: "..", absolute paths, and links that leave the
 * root (openat2(2)). */
static int open_resolved(int root, const char *path, int flags) {
  struct open_how how = {.flags = (unsigned)flags,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  int fd = -1;
  errno = EAGAIN;
  for (int i = 0; i < TRIES && fd < 0 && (errno == EAGAIN || errno == EINTR); i++)
    fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  return fd;
}

/* Opens a path name by name, and follows no links. Changes `path`, which must not contain "..". */
static int open_by_steps(int root, char *path, int flags) {
  int folder = root;
  char *rest = path;
  for (char *slash; (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
    *slash = '\0';
    if (*rest == '\0') continue;
    int next = openat(folder, rest, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder != root) close_keeping_errno(folder);
    if (next < 0) return -1;
    folder = next;
  }
  int fd = openat(folder, *rest != '\0' ? rest : ".", flags | O_NOFOLLOW);
  if (folder != root) close_keeping_errno(folder);
  return fd;
}

static bool goes_up(const char *path) {
  for (const char *dots = path; (dots = strstr(dots, "..")) != NULL; dots += 2)
    if ((dots == path || dots[-1] == '/') && (dots[2] == '\0' || dots[2] == '/')) return true;
  return false;
}

/* Returns a descriptor, or -1 and errno. `path` may have any bytes: it comes from the network. */
static int open_beneath(const struct root *root, const char *path, size_t length, int flags) {
  char copy[PATH_MAX];
  if (length >= sizeof copy) errno = ENAMETOOLONG;
  if (length >= sizeof copy) return -1;
  errno = ENOENT;
  if (strlen(path) != length || path[0] == '/' || goes_up(path)) return -1;
  if (root->follows_links) {
    int fd = open_resolved(root->fd, length > 0 ? path : ".", flags);
    /* Kernels before 5.6 have no openat2(), and some sandboxes forbid it. */
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
  }
  memcpy(copy, path, length + 1);
  return open_by_steps(root->fd, copy, flags);
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Pushes nil, the word and the message for errno. */
static int push_failure(lua_State *state) {
  const char *text = strerror(errno);
  const char *word = "failed";
  switch (errno) {
  case ENOENT:
  case ENOTDIR:
  case ENAMETOOLONG:
  case ELOOP:
  case EXDEV: word = "absent"; break;
  case EACCES:
  case EPERM: word = "denied"; break;
  case EMFILE:
  case ENFILE:
  case ENOMEM: word = "busy"; break;
  case ENXIO:
  case ENODEV:
  case EISDIR: word = "unfit"; break;
  default: break;
  }
  lua_pushnil(state);
  lua_pushstring(state, word);
  lua_pushstring(state, text);
  return 3;
}

static const char *kind_of(const struct stat *about) {
  if (S_ISREG(about->st_mode)) return "file";
  if (S_ISDIR(about->st_mode)) return "folder";
  return S_ISLNK(about->st_mode) ? "link" : "other";
}

static void set_integer(lua_State *state, const char *name, lua_Integer value) {
  lua_pushinteger(state, value);
  lua_setfield(state, -2, name);
}

static void push_about(lua_State *state, const struct stat *about) {
  lua_createtable(state, 0, 9);
  lua_pushstring(state, kind_of(about));
  lua_setfield(state, -2, "kind");
  set_integer(state, "size", about->st_size);
  set_integer(state, "mtime", about->st_mtim.tv_sec);
  set_integer(state, "mtime_ns", about->st_mtim.tv_nsec);
  set_integer(state, "ctime", about->st_ctim.tv_sec);
  set_integer(state, "ctime_ns", about->st_ctim.tv_nsec);
  set_integer(state, "inode", (lua_Integer)about->st_ino);
  set_integer(state, "device", (lua_Integer)about->st_dev);
}

static bool has_integer(lua_State *state, int index, const char *name, lua_Integer value) {
  lua_getfield(state, index, name);
  bool is_same = lua_isinteger(state, -1) && lua_tointeger(state, -1) == value;
  lua_pop(state, 1);
  return is_same;
}

/* Like push_about() for a regular file, but pushes the table at index if that has the same values.
 * ctime changes with every change of the file, and no program can set it. */
static void push_about_again(lua_State *state, const struct stat *about, int index) {
  if (lua_istable(state, index) && has_integer(state, index, "ctime_ns", about->st_ctim.tv_nsec) &&
      has_integer(state, index, "ctime", about->st_ctim.tv_sec) &&
      has_integer(state, index, "mtime_ns", about->st_mtim.tv_nsec) &&
      has_integer(state, index, "mtime", about->st_mtim.tv_sec) &&
      has_integer(state, index, "size", about->st_size) &&
      has_integer(state, index, "inode", (lua_Integer)about->st_ino) &&
      has_integer(state, index, "device", (lua_Integer)about->st_dev))
    lua_pushvalue(state, index);
  else
    push_about(state, about);
}

static const struct root *check_root(lua_State *state) {
  const struct root *root = luaL_checkudata(state, 1, root_type);
  luaL_argcheck(state, root->fd >= 0, 1, "the root is closed");
  return root;
}

/* ---- root:open(path, last), root:stat(path) ------------------------------------------------- */

/* Opens a regular file or a folder. Returns -1 and errno if the path is neither. */
static int open_served(const struct root *root, const char *path, size_t length,
                       struct stat *about) {
  int fd = open_beneath(root, path, length, READING);
  if (fd < 0) return -1;
  if (fstat(fd, about) == 0) {
    if (S_ISREG(about->st_mode) || S_ISDIR(about->st_mode)) return fd;
    errno = ENXIO;
  }
  close_keeping_errno(fd);
  return -1;
}

/* Makes the userdata before the descriptor, so that no error can leak the descriptor. */
static int root_open(lua_State *state) {
  size_t length;
  struct stat about;
  const struct root *root = check_root(state);
  const char *path = luaL_checklstring(state, 2, &length);
  lua_settop(state, 3);
  if (!lua_isnil(state, 3)) luaL_checktype(state, 3, LUA_TTABLE);
  struct file_value *file = file_value_push(state);
  int fd = open_served(root, path, length, &about);
  if (fd < 0) return push_failure(state);
  if (S_ISDIR(about.st_mode)) {
    close(fd);
    push_about(state, &about);
    return 1;
  }
  file->fd = fd;
  file->size = about.st_size;
  push_about_again(state, &about, 3);
  lua_insert(state, -2);
  return 2;
}

static int root_stat(lua_State *state) {
  size_t length;
  struct stat about;
  const struct root *root = check_root(state);
  const char *path = luaL_checklstring(state, 2, &length);
  int fd = open_beneath(root, path, length, O_PATH | O_CLOEXEC);
  if (fd < 0) return push_failure(state);
  int status = fstat(fd, &about);
  close_keeping_errno(fd);
  if (status != 0) return push_failure(state);
  push_about(state, &about);
  return 1;
}

/* ---- root:list(path, limit) ---------------------------------------------------------------- */

/* __gc of a DIR. Lua owns it, because making the list may raise. */
static int close_folder(lua_State *state) {
  DIR **folder = luaL_checkudata(state, 1, folder_type);
  if (*folder != NULL) closedir(*folder);
  *folder = NULL;
  return 0;
}

static DIR *open_folder(lua_State *state, const struct root *root, const char *path,
                        size_t length) {
  DIR **folder = lua_newuserdatauv(state, sizeof(DIR *), 0);
  *folder = NULL;
  luaL_setmetatable(state, folder_type);
  int fd = open_beneath(root, path, length, READING | O_DIRECTORY);
  if (fd < 0) return NULL;
  *folder = fdopendir(fd);
  if (*folder == NULL) close_keeping_errno(fd);
  return *folder;
}

/* Pushes the table of an entry. False: the entry was deleted, and nothing is pushed. */
static bool push_entry(lua_State *state, DIR *folder, const char *name) {
  struct stat about;
  if (fstatat(dirfd(folder), name, &about, AT_SYMLINK_NOFOLLOW) != 0) return false;
  push_about(state, &about);
  lua_pushstring(state, name);
  lua_setfield(state, -2, "name");
  return true;
}

static int root_list(lua_State *state) {
  size_t length;
  const struct root *root = check_root(state);
  const char *path = luaL_checklstring(state, 2, &length);
  lua_Integer limit = luaL_optinteger(state, 3, DEFAULT_ENTRIES), count = 0;
  lua_settop(state, 2);
  DIR *folder = open_folder(state, root, path, length);
  if (folder == NULL) return push_failure(state);
  lua_newtable(state);
  const struct dirent *entry;
  while (count < limit && (entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (push_entry(state, folder, entry->d_name)) lua_rawseti(state, -2, ++count);
  }
  closedir(folder);
  *(DIR **)lua_touserdata(state, 3) = NULL;
  return 1;
}

/* ---- roots --------------------------------------------------------------------------------- */

static int close_root(lua_State *state) {
  struct root *root = luaL_checkudata(state, 1, root_type);
  if (root->fd >= 0) close(root->fd);
  root->fd = -1;
  return 0;
}

/* files.root(path, options) */
static int open_root(lua_State *state) {
  const char *path = luaL_checkstring(state, 1);
  bool follows_links = true;
  if (!lua_isnoneornil(state, 2)) {
    luaL_checktype(state, 2, LUA_TTABLE);
    follows_links = lua_getfield(state, 2, "links") == LUA_TNIL || lua_toboolean(state, -1);
  }
  struct root *root = lua_newuserdatauv(state, sizeof *root, 0);
  *root = (struct root){-1, follows_links};
  luaL_setmetatable(state, root_type);
  file_value_note_use(state);
  root->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return root->fd >= 0 ? 1 : push_failure(state);
}

static void push_class(lua_State *state, const char *name, const luaL_Reg *methods,
                       lua_CFunction close) {
  luaL_newmetatable(state, name);
  lua_newtable(state);
  luaL_setfuncs(state, methods, 0);
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, close);
  lua_setfield(state, -2, "__gc");
  lua_pushcfunction(state, close);
  lua_setfield(state, -2, "__close");
  lua_pop(state, 1);
}

int module_files_open(lua_State *state) {
  static const luaL_Reg functions[] = {{"root", open_root}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg methods[] = {{"open", root_open},
                                     {"stat", root_stat},
                                     {"list", root_list},
                                     {"close", close_root},
                                     {NULL, NULL}};
  push_class(state, root_type, methods, close_root);
  push_class(state, folder_type, none, close_folder);
  file_value_open(state);
  luaL_newlib(state, functions);
  return 1;
}
