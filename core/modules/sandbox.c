#include "modules/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/replaced.h"

/* ---- paths --------------------------------------------------------------------------------- */

static bool is_beneath(const char *path, const char *folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool is_dots(const char *name, size_t length) {
  return (length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.');
}

/* Removes the last name from the path. False: the path does not end in the name of a file. */
static bool cut_name(char *path) {
  char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  if (*name == '\0' || is_dots(name, strlen(name))) return false;
  if (!slash)
    memcpy(path, ".", 2); /* The path has room for it: the name has at least one byte. */
  else if (slash == path)
    path[1] = '\0';
  else
    *slash = '\0';
  return true;
}

/* Whether the folder of the path is `folder` or beneath it. If it does not exist, its nearest
 * parent that exists is checked. */
static bool has_own_folder(const char *folder, const char *path) {
  char place[PATH_MAX], real[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof place || length == 0) return false;
  memcpy(place, path, length + 1);
  do {
    if (!cut_name(place)) return false;
  } while (!realpath(place, real) && errno == ENOENT);
  return is_beneath(real, folder);
}

/* Whether the script may change the file at this path. `follows`: the function follows a symbolic
 * link at the end of the path. */
static bool is_own(const struct script_sandbox *sandbox, const char *path, bool follows) {
  struct stat about;
  char real[PATH_MAX];
  if (!sandbox->folder || !has_own_folder(sandbox->folder, path)) return false;
  if (!follows || lstat(path, &about) != 0 || !S_ISLNK(about.st_mode)) return true;
  return realpath(path, real) && is_beneath(real, sandbox->folder);
}

/* ---- functions that are guarded ------------------------------------------------------------ */

enum kind {
  NEVER,       /* Every call is refused. */
  WITH_TEXT,   /* A call with an argument is refused. */
  OPENS,       /* The arguments are a path, whose links are followed, and a mode. */
  WRITES,      /* The argument is a path, whose links are followed. */
  WRITES_TEXT, /* The argument is such a path, or is no text and allowed. */
  REMOVES,     /* The argument is a path; a link at its end is not followed. */
  RENAMES      /* The arguments are two paths as for REMOVES. */
};

struct guarded {
  const char *module;
  const char *place; /* NULL: the module itself. Else a table in it, or a registered metatable. */
  const char *function;
  enum kind kind;
  const char *verb; /* Stands behind "would" in the error. */
};

static const struct guarded guarded[] = {
    {LUA_OSLIBNAME, NULL, "execute", WITH_TEXT, "run"},
    {LUA_OSLIBNAME, NULL, "remove", REMOVES, "remove"},
    {LUA_OSLIBNAME, NULL, "rename", RENAMES, "rename"},
    {LUA_IOLIBNAME, NULL, "popen", NEVER, "run"},
    {LUA_IOLIBNAME, NULL, "open", OPENS, "write to"},
    {LUA_IOLIBNAME, NULL, "output", WRITES_TEXT, "write to"},
    {"lfs", NULL, "mkdir", WRITES, "make the folder"},
    {"lfs", NULL, "rmdir", REMOVES, "remove the folder"},
    {"lfs", NULL, "touch", WRITES, "change"},
    {"lfs", NULL, "link", RENAMES, "link"},
    {"lfs", NULL, "lock_dir", WRITES, "lock"},
    {"lfs", NULL, "chdir", NEVER, "go to"},
    {"socket.core", NULL, "connect", NEVER, "connect to"},
    {"socket.core", "dns", "toip", NEVER, "look up"},
    {"socket.core", "dns", "tohostname", NEVER, "look up"},
    {"socket.core", "dns", "getaddrinfo", NEVER, "look up"},
    {"socket.core", "dns", "getnameinfo", NEVER, "look up"},
    {"socket.core", "tcp{master}", "connect", NEVER, "connect to"},
    {"socket.core", "tcp{master}", "bind", NEVER, "listen on"},
    {"socket.core", "tcp{master}", "listen", NEVER, "listen"},
    {"socket.core", "udp{unconnected}", "sendto", NEVER, "send"},
    {"socket.core", "udp{unconnected}", "setpeername", NEVER, "connect to"},
    {"socket.core", "udp{unconnected}", "setsockname", NEVER, "listen on"},
    {"socket.unix", "unixstream{master}", "connect", NEVER, "connect to"},
    {"socket.unix", "unixstream{master}", "bind", NEVER, "listen on"},
    {"socket.unix", "unixdgram{unconnected}", "connect", NEVER, "connect to"},
    {"socket.unix", "unixdgram{unconnected}", "bind", NEVER, "listen on"},
    {"socket.unix", "unixdgram{unconnected}", "sendto", NEVER, "send"},
    {"socket.unix", "unix{master}", "connect", NEVER, "connect to"},
    {"socket.unix", "unix{master}", "bind", NEVER, "listen on"},
};

enum { GUARDED_COUNT = sizeof guarded / sizeof guarded[0] };

/* The upvalues of guard() behind the guarded function: its entry in `guarded`, and the sandbox. */
enum { KNOWN = 2, SANDBOX };

static int refuse(lua_State *state, const struct guarded *known, const char *object) {
  return luaL_error(state,
                    "%s.%s would %s%s%s: a simulation has no effects outside of ${TEMP} (see "
                    "--allow-effects)",
                    known->module, known->function, known->verb, *object ? " " : "", object);
}

/* Refuses paths outside of the script's folder. After other calls the folder must be emptied before
 * the next run. */
static void check_path(lua_State *state, const struct guarded *known, int index, bool follows) {
  struct script_sandbox *sandbox = lua_touserdata(state, lua_upvalueindex(SANDBOX));
  const char *path = luaL_checkstring(state, index);
  if (!is_own(sandbox, path, follows)) refuse(state, known, path);
  sandbox->is_used = true;
}

/* Returns the text for the error of a refused call: its first argument, or the second of a method.
 */
static const char *object_of(lua_State *state) {
  for (int i = 1; i <= 2 && i <= lua_gettop(state); i++)
    if (lua_type(state, i) == LUA_TSTRING) return lua_tostring(state, i);
  return "";
}

static void check(lua_State *state, const struct guarded *known) {
  bool is_text = lua_isstring(state, 1); /* A number is the name of a file, too. */
  switch (known->kind) {
  case NEVER: refuse(state, known, object_of(state)); break;
  case WITH_TEXT:
    if (!lua_isnoneornil(state, 1)) refuse(state, known, object_of(state));
    break;
  case OPENS:
    if (!strpbrk(luaL_optstring(state, 2, "r"), "wa+")) break;
    if (is_text && strcmp(lua_tostring(state, 1), "/dev/null") == 0) break;
    check_path(state, known, 1, true);
    break;
  case WRITES: check_path(state, known, 1, true); break;
  case WRITES_TEXT:
    if (is_text) check_path(state, known, 1, true);
    break;
  case REMOVES: check_path(state, known, 1, false); break;
  case RENAMES:
    check_path(state, known, 1, false);
    check_path(state, known, 2, false);
    break;
  }
}

static int guard(lua_State *state) {
  check(state, lua_touserdata(state, lua_upvalueindex(KNOWN)));
  return replaced_call(state);
}

/* Replaces the function in the table on the top, if it is there. */
static void put_guard(lua_State *state, const struct guarded *known,
                      struct script_sandbox *sandbox) {
  bool is_there = lua_getfield(state, -1, known->function) == LUA_TFUNCTION;
  lua_pop(state, 1);
  if (!is_there) return;
  lua_pushlightuserdata(state, (void *)known);
  lua_pushlightuserdata(state, sandbox);
  replaced_install(state, known->function, guard, 2);
}

/* Pushes the table of this place; if there is none, another value. */
static void push_place(lua_State *state, int module, const char *place) {
  if (!place)
    lua_pushvalue(state, module);
  else if (lua_getfield(state, module, place) != LUA_TTABLE) {
    lua_pop(state, 1);
    if (luaL_getmetatable(state, place) == LUA_TTABLE) {
      lua_getfield(state, -1, "__index");
      lua_remove(state, -2);
    }
  }
}

/* Guards the known functions of the module on the top. */
static void guard_module(lua_State *state, const char *name, struct script_sandbox *sandbox) {
  int module = lua_gettop(state);
  for (int i = 0; i < GUARDED_COUNT; i++) {
    if (strcmp(guarded[i].module, name) != 0) continue;
    push_place(state, module, guarded[i].place);
    if (lua_istable(state, -1)) put_guard(state, &guarded[i], sandbox);
    lua_pop(state, 1);
  }
}

/* ---- modules in C -------------------------------------------------------------------------- */

/* The upvalues of load_guarded(): the module's own loader, the sandbox, and the module's name. */
enum { LOADER = 1, LOADER_SANDBOX, MODULE, LOADER_UPVALUES = MODULE };

static int load_guarded(lua_State *state) {
  lua_pushvalue(state, lua_upvalueindex(LOADER));
  lua_insert(state, 1);
  lua_call(state, lua_gettop(state) - 1, 1);
  if (lua_istable(state, -1))
    guard_module(state, lua_tostring(state, lua_upvalueindex(MODULE)),
                 lua_touserdata(state, lua_upvalueindex(LOADER_SANDBOX)));
  return 1;
}

/* Replaces the loader at index by load_guarded(), and pops the name of the module. */
static void guard_loader(lua_State *state, int index, struct script_sandbox *sandbox) {
  lua_pushvalue(state, index);
  lua_insert(state, -2);
  lua_pushlightuserdata(state, sandbox);
  lua_insert(state, -2);
  lua_pushcclosure(state, load_guarded, LOADER_UPVALUES);
  lua_replace(state, index);
}

/* A searcher of `package.searchers`. The upvalues are Lua's own searcher and the sandbox. */
static int search_guarded(lua_State *state) {
  enum { NAME = 1, FOUND };
  luaL_checkstring(state, NAME);
  lua_settop(state, NAME);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_pushvalue(state, NAME);
  lua_call(state, 1, LUA_MULTRET);
  if (!lua_isfunction(state, FOUND)) return lua_gettop(state) - NAME;
  lua_pushvalue(state, NAME);
  guard_loader(state, FOUND, lua_touserdata(state, lua_upvalueindex(2)));
  return lua_gettop(state) - NAME;
}

/* package.loadlib(path, function). The upvalues are Lua's own function and the sandbox. The
 * function luaopen_a_b opens the module "a.b". */
static int load_library(lua_State *state) {
  enum { PATH = 1, OPENER, FOUND };
  static const char prefix[] = "luaopen_";
  luaL_checkstring(state, PATH);
  const char *opener = luaL_checkstring(state, OPENER);
  lua_settop(state, OPENER);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_pushvalue(state, PATH);
  lua_pushvalue(state, OPENER);
  lua_call(state, 2, LUA_MULTRET);
  if (lua_isfunction(state, FOUND) && strncmp(opener, prefix, sizeof prefix - 1) == 0) {
    luaL_gsub(state, opener + sizeof prefix - 1, "_", ".");
    guard_loader(state, FOUND, lua_touserdata(state, lua_upvalueindex(2)));
  }
  return lua_gettop(state) - OPENER;
}

/* The third and the fourth searcher find modules in C, and package.loadlib opens them. */
static void guard_loaders(lua_State *state, struct script_sandbox *sandbox) {
  lua_getglobal(state, LUA_LOADLIBNAME);
  lua_getfield(state, -1, "searchers");
  for (int i = 3; i <= 4; i++) {
    lua_rawgeti(state, -1, i);
    lua_pushlightuserdata(state, sandbox);
    lua_pushcclosure(state, search_guarded, 2);
    lua_rawseti(state, -2, i);
  }
  lua_pop(state, 1);
  lua_pushlightuserdata(state, sandbox);
  replaced_install(state, "loadlib", load_library, 1);
  lua_pop(state, 1);
}

/* --------------------------------------------------------------------------------------------- */

/* os.tmpname(). The names are the same in each run. */
static int make_name(lua_State *state) {
  struct script_sandbox *sandbox = lua_touserdata(state, lua_upvalueindex(1));
  if (!sandbox->folder) return luaL_error(state, "unable to generate a unique filename");
  const char *path;
  int fd;
  sandbox->is_used = true;
  do {
    path = lua_pushfstring(state, "%s/lua_%d", sandbox->folder, ++sandbox->names);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EEXIST);
  if (fd < 0) return luaL_error(state, "unable to generate a unique filename");
  close(fd);
  return 1;
}

void sandbox_install(lua_State *state, struct script_sandbox *sandbox) {
  static const char *const libraries[] = {LUA_OSLIBNAME, LUA_IOLIBNAME};
  for (int i = 0; i < 2; i++) {
    lua_getglobal(state, libraries[i]);
    guard_module(state, libraries[i], sandbox);
    lua_pop(state, 1);
  }
  lua_getglobal(state, LUA_OSLIBNAME);
  lua_pushlightuserdata(state, sandbox);
  lua_pushcclosure(state, make_name, 1);
  lua_setfield(state, -2, "tmpname");
  lua_pop(state, 1);
  guard_loaders(state, sandbox);
}
