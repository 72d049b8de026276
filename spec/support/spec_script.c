/* spec_script.c: modules of the script room that the specs call without a server. */
#include <lauxlib.h>
#include <lua.h>

#include "modules/http_response.h"
#include "modules/http_url.h"
#include "modules/module_files.h"
#include "spec_module.h"

static int open_files(lua_State *L) {
  luaL_requiref(L, "parlance.files", module_files_open, 0);
  return 1;
}

/* open_http_response(): as the state of a script has it, with the time of the system. */
static int open_http_response(lua_State *L) {
  http_response_push(L, NULL);
  return 1;
}

/* A function as other C modules have it, for package.loadlib(): it suspends its coroutine. */
int spec_yield(lua_State *L);
int spec_yield(lua_State *L) { return lua_yield(L, 0); }

int spec_open_script(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open_files", open_files},          {"open_http_response", open_http_response},
      {"open_http_url", http_url_open},    {"pool_churn", spec_pool_churn},
      {"pool_scatter", spec_pool_scatter}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
