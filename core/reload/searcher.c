#include "reload/searcher.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

bool searcher_is_path(const char *folder) { return !strpbrk(folder, LUA_PATH_SEP LUA_PATH_MARK); }

const char *searcher_push_file(lua_State *state, const char *folder, const char *module, int nth) {
  static const char *const endings[SEARCHER_FILES] = {".lua", "/init.lua"};
  const char *name = luaL_gsub(state, module, ".", LUA_DIRSEP);
  const char *file = lua_pushfstring(state, "%s/%s%s", folder, name, endings[nth]);
  lua_remove(state, -2);
  return file;
}

/* A searcher of Lua's require: the upvalue is the folder. */
static int search(lua_State *state) {
  const char *module = luaL_checkstring(state, 1);
  const char *folder = lua_tostring(state, lua_upvalueindex(1));
  for (int nth = 0; nth < SEARCHER_FILES; nth++) {
    const char *file = searcher_push_file(state, folder, module, nth);
    if (access(file, R_OK) != 0) continue;
    if (luaL_loadfilex(state, file, NULL) == LUA_OK) {
      lua_pushstring(state, file);
      return 2;
    }
    return luaL_error(state, "error loading module '%s' from file '%s':\n\t%s", module, file,
                      lua_tostring(state, -1));
  }
  lua_pushfstring(state, "no file '%s'\n\tno file '%s'", lua_tostring(state, -2),
                  lua_tostring(state, -1));
  return 1;
}

/* Behind the searcher of package.preload. */
static void add_searcher(lua_State *state, int package, const char *folder) {
  enum { PLACE = 2 };
  lua_getfield(state, package, "searchers");
  for (lua_Integer i = luaL_len(state, -1); i >= PLACE; i--) {
    lua_rawgeti(state, -1, i);
    lua_rawseti(state, -2, i + 1);
  }
  lua_pushstring(state, folder);
  lua_pushcclosure(state, search, 1);
  lua_rawseti(state, -2, PLACE);
  lua_pop(state, 1);
}

void searcher_add(lua_State *state, int package, const char *folder) {
  package = lua_absindex(state, package);
  if (!searcher_is_path(folder)) {
    add_searcher(state, package, folder);
    return;
  }
  lua_pushfstring(state, "%s/?.lua;%s/?/init.lua;", folder, folder);
  lua_getfield(state, package, "path");
  lua_concat(state, 2);
  lua_setfield(state, package, "path");
}
