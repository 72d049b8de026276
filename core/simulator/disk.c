#include "simulator/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int disk_write(int fd, const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, text, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text += written;
    length -= (size_t)written;
  }
  return 0;
}

static int push_failure(lua_State *L, const char *path, int error) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, strerror(error));
  return 2;
}

int disk_list(lua_State *L) {
  struct dirent **entries;
  const char *path = luaL_checkstring(L, 1);
  int count = scandir(path, &entries, NULL, alphasort);
  if (count < 0) {
    bool is_absent = errno == ENOENT || errno == ENOTDIR;
    push_failure(L, path, errno);
    lua_pushboolean(L, is_absent);
    return 3;
  }
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_pushstring(L, entries[i]->d_name);
    lua_rawseti(L, -2, i + 1);
    free(entries[i]);
  }
  free(entries);
  return 1;
}

static int exists(lua_State *L) {
  struct stat about;
  lua_pushboolean(L, lstat(luaL_checkstring(L, 1), &about) == 0);
  return 1;
}

static int make_folder(lua_State *L) {
  struct stat about;
  const char *path = luaL_checkstring(L, 1);
  bool is_made = mkdir(path, 0777) == 0;
  int error = errno;
  if (!is_made && (error != EEXIST || stat(path, &about) != 0 || !S_ISDIR(about.st_mode)))
    return push_failure(L, path, error);
  lua_pushboolean(L, is_made);
  return 1;
}

static int make_file(lua_State *L) {
  size_t length;
  const char *path = luaL_checkstring(L, 1);
  const char *text = luaL_checklstring(L, 2, &length);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return push_failure(L, path, errno);
  int error = disk_write(fd, text, length);
  if (close(fd) != 0 && error == 0)
    error = errno; /* Some file systems report a failed write only here. */
  if (error != 0) {
    unlink(path);
    return push_failure(L, path, error);
  }
  lua_pushboolean(L, true);
  return 1;
}

void disk_push(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"exists", exists}, {"make_folder", make_folder}, {"make_file", make_file}, {NULL, NULL}};
  luaL_newlib(L, functions);
}
