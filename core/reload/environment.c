#include "reload/environment.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reload/precompile.h"
#include "reload/searcher.h"
#include "script/gate.h"
#include "script/module_names.h"
#include "script/watchdog.h"

/* The registry's key of the set of modules that are there before any script. */
static const char builtin_key;

/* The upvalues of require(): the version's own modules, its globals, its `package`, its sources,
 * the folder of its script, and Lua's own require. */
enum {
  LOADED = 1,
  GLOBALS,
  PACKAGE,
  SOURCES,
  FOLDER,
  SHARED_REQUIRE,
  REQUIRE_UPVALUES = SHARED_REQUIRE
};

/* ---- sources ------------------------------------------------------------------------------- */

static const char *const sources_type = "parlance.sources";

static int free_sources(lua_State *state) {
  sources_deinit(lua_touserdata(state, 1));
  return 0;
}

static struct sources *push_sources(lua_State *state) {
  struct sources *sources = lua_newuserdatauv(state, sizeof *sources, 0);
  *sources = (struct sources){0};
  if (luaL_newmetatable(state, sources_type)) {
    lua_pushcfunction(state, free_sources);
    lua_setfield(state, -2, "__gc");
  }
  lua_setmetatable(state, -2);
  return sources;
}

/* ---- running a file ------------------------------------------------------------------------ */

/* Pushes the file's function, or an error message and returns false; nothing is pushed, and *error
 * says why, when the file could not be read. */
static bool load_file(lua_State *state, struct sources *sources, const char *path, const char *mode,
                      int *error) {
  char *bytes;
  size_t length;
  *error = 0;
  if (precompile_take(state, sources, path, mode)) return lua_isfunction(state, -1);
  const char *name = lua_pushfstring(state, "@%s", path);
  enum status status = sources_read(sources, path, &bytes, &length);
  if (status == STATUS_NO_MEMORY) gate_raise_no_memory(state);
  if (status != STATUS_OK) {
    *error = errno;
    lua_pop(state, 1);
    return false;
  }
  int result = precompile_text(state, name, bytes, length, mode);
  free(bytes);
  lua_remove(state, -2);
  return result == LUA_OK;
}

/* Gives the chunk below the top the globals on the top. Binary code may have no place for them. */
static void set_globals(lua_State *state) {
  if (!lua_setupvalue(state, -2, 1)) lua_pop(state, 1);
}

void environment_run(lua_State *state, int environment, struct sources *sources, const char *path,
                     int arguments) {
  int error;
  environment = lua_absindex(state, environment);
  if (!load_file(state, sources, path, "t", &error)) {
    if (error != 0) luaL_error(state, "cannot open %s: %s", path, strerror(error));
    lua_error(state);
  }
  lua_pushvalue(state, environment);
  set_globals(state);
  lua_insert(state, -1 - arguments);
  lua_call(state, arguments, 1);
}

/* ---- require ------------------------------------------------------------------------------- */

static bool is_builtin(lua_State *state, const char *name) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &builtin_key);
  bool is = lua_getfield(state, -1, name) != LUA_TNIL;
  lua_pop(state, 2);
  return is;
}

/* What the module has returned stands below the top; the module may also have set it itself. */
static int keep_module(lua_State *state) {
  lua_pushvalue(state, -2);
  if (lua_isnil(state, -1)) {
    lua_pop(state, 1);
    lua_pushvalue(state, 1);
    lua_rawget(state, lua_upvalueindex(LOADED));
  }
  if (lua_isnil(state, -1)) {
    lua_pop(state, 1);
    lua_pushboolean(state, true);
  }
  lua_pushvalue(state, 1);
  lua_pushvalue(state, -2);
  lua_rawset(state, lua_upvalueindex(LOADED));
  lua_insert(state, -2);
  return 2;
}

/* The loader of a module has waited. */
static int finish_require(lua_State *state, int status, lua_KContext context) {
  (void)status;
  (void)context;
  lua_insert(state, -2);
  return keep_module(state);
}

/* Calls the loader on the top, and leaves what it returns and `from` on the stack. */
static void run_loader(lua_State *state, const char *from) {
  lua_pushstring(state, from);
  lua_insert(state, -2);
  lua_pushvalue(state, 1);
  lua_pushvalue(state, -3);
  lua_callk(state, 2, 1, 0, finish_require);
  lua_insert(state, -2);
}

/* Runs the module if there is such a file; then its value and the path are pushed. */
static bool require_file(lua_State *state, const char *path) {
  int error;
  struct sources *sources = lua_touserdata(state, lua_upvalueindex(SOURCES));
  if (!load_file(state, sources, path, NULL, &error)) {
    if (error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG) return false;
    luaL_error(state, "error loading module '%s' from file '%s':\n\t%s", lua_tostring(state, 1),
               path, error != 0 ? strerror(error) : lua_tostring(state, -1));
  }
  lua_pushvalue(state, lua_upvalueindex(GLOBALS));
  set_globals(state);
  run_loader(state, path);
  return true;
}

/* A folder that is the current one need not be named in a path. */
static bool is_beside(const char *file, const char *folder, size_t folder_length) {
  if (strncmp(file, folder, folder_length) == 0 && file[folder_length] == '/') return true;
  return strcmp(folder, ".") == 0 && *file != '/' && strncmp(file, "..", 2) != 0;
}

/* For a folder of the script that package.path cannot name: true, with the module's value and its
 * path pushed, if the module is there. */
static bool require_in_folder(lua_State *state) {
  const char *folder = lua_tostring(state, lua_upvalueindex(FOLDER));
  if (searcher_is_path(folder)) return false;
  for (int nth = 0; nth < SEARCHER_FILES; nth++)
    if (require_file(state, searcher_push_file(state, folder, lua_tostring(state, 1), nth)))
      return true;
  return false;
}

/* Goes along package.path as far as it leads through the folder of the script, or below it: true,
 * with the module's value and its path pushed, if the module is there. */
static bool require_beside(lua_State *state) {
  size_t folder_length;
  const char *folder = lua_tolstring(state, lua_upvalueindex(FOLDER), &folder_length);
  const char *name = luaL_gsub(state, lua_tostring(state, 1), ".", LUA_DIRSEP);
  lua_getfield(state, lua_upvalueindex(PACKAGE), "path");
  const char *path = lua_tostring(state, -1), *end;
  int top = lua_gettop(state);
  for (; path && *path; path = *end ? end + 1 : end) {
    end = strchr(path, *LUA_PATH_SEP);
    if (!end) end = path + strlen(path);
    lua_settop(state, top);
    lua_pushlstring(state, path, (size_t)(end - path));
    const char *file = luaL_gsub(state, lua_tostring(state, -1), LUA_PATH_MARK, name);
    if (!is_beside(file, folder, folder_length)) {
      if (access(file, R_OK) == 0) return false;
    } else if (require_file(state, file))
      return true;
  }
  return false;
}

/* Gives the state's own `package`, at index, the paths at index `from` and above it. */
static void set_paths(lua_State *state, int package, int from) {
  static const char *const names[] = {"path", "cpath"};
  for (int i = 0; i < 2; i++) {
    lua_pushvalue(state, from + i);
    lua_setfield(state, package, names[i]);
  }
}

/* Pushes where Lua's own require has not looked for the module, and this one has. */
static void push_looked(lua_State *state) {
  const char *folder = lua_tostring(state, lua_upvalueindex(FOLDER)),
             *name = lua_tostring(state, 1);
  if (searcher_is_path(folder)) {
    lua_pushliteral(state, "");
    return;
  }
  for (int nth = 0; nth < SEARCHER_FILES; nth++) {
    lua_pushfstring(state, "\n\tno file '%s'", searcher_push_file(state, folder, name, nth));
    lua_remove(state, -2);
  }
  lua_concat(state, SEARCHER_FILES);
}

/* A module of the server tells what it has when it is asked for what it has not. */
static void watch_names(lua_State *state, int value) {
  const char *name = lua_tostring(state, 1);
  bool is_ours = strcmp(name, "parlance") == 0 || strncmp(name, "parlance.", 9) == 0;
  if (is_ours && lua_gettop(state) >= value) module_names_watch(state, value, name);
}

/* Lua's own require, with the paths that this version has set. It takes this function for its
 * caller, so that the place is added here. */
static int require_shared(lua_State *state) {
  enum { NAME = 1, SHARED, PATHS, OWN_PATHS = PATHS + 2, BASE = OWN_PATHS + 1 };
  lua_settop(state, NAME);
  lua_getglobal(state, LUA_LOADLIBNAME);
  lua_getfield(state, SHARED, "path");
  lua_getfield(state, SHARED, "cpath");
  lua_getfield(state, lua_upvalueindex(PACKAGE), "path");
  lua_getfield(state, lua_upvalueindex(PACKAGE), "cpath");
  set_paths(state, SHARED, OWN_PATHS);
  lua_pushvalue(state, lua_upvalueindex(SHARED_REQUIRE));
  lua_pushvalue(state, NAME);
  bool is_well = lua_pcall(state, 1, LUA_MULTRET, 0) == LUA_OK;
  set_paths(state, SHARED, PATHS);
  if (is_well) {
    watch_names(state, BASE + 1);
    return lua_gettop(state) - BASE;
  }
  const char *error = lua_type(state, -1) == LUA_TSTRING ? lua_tostring(state, -1) : "";
  if (strncmp(error, "module '", strlen("module '")) == 0) {
    luaL_where(state, 1);
    lua_insert(state, -2);
    push_looked(state);
    lua_concat(state, 3);
  }
  return lua_error(state);
}

/* Runs the loader that the script has put into package.preload itself, if there is one. */
static bool require_preloaded(lua_State *state) {
  if (lua_getfield(state, lua_upvalueindex(PACKAGE), "preload") != LUA_TTABLE) return false;
  lua_pushvalue(state, 1);
  if (lua_rawget(state, -2) == LUA_TNIL) return false;
  run_loader(state, ":preload:");
  return true;
}

/* require(name) */
static int require_module(lua_State *state) {
  const char *name = luaL_checkstring(state, 1);
  lua_settop(state, 1);
  lua_pushvalue(state, 1);
  lua_rawget(state, lua_upvalueindex(LOADED));
  if (lua_toboolean(state, -1)) return 1;
  lua_settop(state, 1);
  if (is_builtin(state, name)) return require_shared(state);
  if (require_preloaded(state)) return keep_module(state);
  lua_settop(state, 1);
  if (require_in_folder(state) || require_beside(state)) return keep_module(state);
  return require_shared(state);
}

/* ---- load, loadfile, dofile ---------------------------------------------------------------- */

/* load and loadfile, with the version's globals where Lua would take its own: upvalues are Lua's
 * function, the globals, and which argument the environment is. */
static int load_here(lua_State *state) {
  int place = (int)lua_tointeger(state, lua_upvalueindex(3));
  if (lua_gettop(state) < place) {
    lua_settop(state, place - 1);
    lua_pushvalue(state, lua_upvalueindex(2));
  }
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_call(state, lua_gettop(state) - 1, LUA_MULTRET);
  if (watchdog_is_stopping())
    watchdog_stop_again(); /* Lua's load catches what its reader raises. */
  return lua_gettop(state);
}

static int finish_dofile(lua_State *state, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(state);
}

/* dofile(path): upvalues are Lua's loadfile and the globals. */
static int dofile_here(lua_State *state) {
  lua_settop(state, 1);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_pushnil(state);
  lua_pushvalue(state, lua_upvalueindex(2));
  lua_call(state, 3, 2);
  if (lua_isnil(state, 1)) return lua_error(state);
  lua_settop(state, 1);
  lua_callk(state, 0, LUA_MULTRET, 0, finish_dofile);
  return lua_gettop(state);
}

/* ---- the environment ----------------------------------------------------------------------- */

static void copy_fields(lua_State *state, int from, int to) {
  lua_pushnil(state);
  while (lua_next(state, from) != 0) {
    lua_pushvalue(state, -2);
    lua_insert(state, -2);
    lua_rawset(state, to);
  }
}

/* Pushes the folder that the script at path lies in, which its modules lie beside. */
static const char *push_folder(lua_State *state, const char *path) {
  const char *end = strrchr(path, '/');
  if (!end) return lua_pushliteral(state, ".");
  return lua_pushlstring(state, path, end == path ? 1 : (size_t)(end - path));
}

/* The modules beside the script come first, then those that come with the server. A folder
 * of the script that package.path cannot name is known to the script's own require. */
static void set_package_path(lua_State *state, const struct script_options *options) {
  lua_getglobal(state, LUA_LOADLIBNAME);
  if (options->modules) searcher_add(state, -1, options->modules);
  const char *folder = push_folder(state, options->path);
  if (searcher_is_path(folder)) searcher_add(state, -2, folder);
  lua_pop(state, 2);
}

void environment_prepare(lua_State *state, const struct script_options *options) {
  set_package_path(state, options);
  lua_newtable(state);
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  copy_fields(state, lua_gettop(state), lua_gettop(state) - 1);
  lua_pop(state, 1);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &builtin_key);
}

static void add_loader(lua_State *state, int environment, const char *name, int place) {
  lua_getglobal(state, name);
  lua_pushvalue(state, environment);
  lua_pushinteger(state, place);
  lua_pushcclosure(state, load_here, 3);
  lua_setfield(state, environment, name);
}

/* Sets a field of the table on the top to the table at index, behind which is seen what the field
 * was.
 */
static void put_before(lua_State *state, const char *field, int table) {
  lua_createtable(state, 0, 1);
  lua_getfield(state, -2, field);
  lua_setfield(state, -2, "__index");
  lua_setmetatable(state, table);
  lua_pushvalue(state, table);
  lua_setfield(state, -2, field);
}

/* `package`, with tables `loaded` (at index) and `preload` of its own before those that are shared.
 */
static void add_package(lua_State *state, int environment, int loaded) {
  lua_newtable(state);
  lua_getglobal(state, LUA_LOADLIBNAME);
  copy_fields(state, lua_gettop(state), lua_gettop(state) - 1);
  lua_pop(state, 1);
  put_before(state, "loaded", loaded);
  lua_newtable(state);
  lua_insert(state, -2);
  put_before(state, "preload", lua_gettop(state) - 1);
  lua_setfield(state, environment, LUA_LOADLIBNAME);
  lua_pop(state, 1);
}

/* Room for the globals of Lua, and some of a script. */
enum { GLOBALS_EXPECTED = 48 };

struct sources *environment_push(lua_State *state, const char *path) {
  lua_createtable(state, 0, GLOBALS_EXPECTED);
  int environment = lua_gettop(state);
  struct sources *sources = push_sources(state);
  lua_newtable(state);
  int loaded = lua_gettop(state);
  lua_pushglobaltable(state);
  copy_fields(state, lua_gettop(state), environment);
  lua_createtable(state, 0, 1); /* what a shared module makes global later is seen, too */
  lua_insert(state, -2);
  lua_setfield(state, -2, "__index");
  lua_setmetatable(state, environment);
  lua_pushvalue(state, environment);
  lua_setfield(state, environment, LUA_GNAME);
  lua_pushvalue(state, environment);
  lua_setfield(state, loaded, LUA_GNAME);
  add_package(state, environment, loaded);
  add_loader(state, environment, "load", 4);
  add_loader(state, environment, "loadfile", 3);
  lua_getglobal(state, "loadfile");
  lua_pushvalue(state, environment);
  lua_pushcclosure(state, dofile_here, 2);
  lua_setfield(state, environment, "dofile");
  lua_pushvalue(state, loaded);
  lua_pushvalue(state, environment);
  lua_getfield(state, environment, LUA_LOADLIBNAME);
  lua_pushvalue(state, environment + 1);
  (void)push_folder(state, path);
  lua_getglobal(state, "require");
  lua_pushcclosure(state, require_module, REQUIRE_UPVALUES);
  lua_setfield(state, environment, "require");
  lua_settop(state, environment + 1);
  return sources;
}
