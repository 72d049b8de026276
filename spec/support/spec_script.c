/* spec_script.c: modules of the script room that the specs call without a server. */
#include <lauxlib.h>
#include <lua.h>

#include "script/module_files.h"
#include "spec_module.h"

static int open_files(lua_State *L) {
  luaL_requiref(L, "parlance.files", module_files_open, 0);
  return 1;
}

int spec_open_script(lua_State *L) {
  static const luaL_Reg functions[] = {{"open_files", open_files}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
