#include "modules/modules.h"

#include <lauxlib.h>

#include "modules/http_response.h"
#include "modules/http_url.h"
#include "modules/module_datagrams.h"
#include "modules/module_files.h"
#include "modules/module_framing.h"
#include "modules/module_net.h"
#include "modules/module_parlance.h"
#include "modules/module_process.h"
#include "modules/sandbox.h"
#include "modules/simulated_globals.h"
#include "script/script_internal.h"

/* require "socket" */
static int open_socket(lua_State *state) {
  lua_getglobal(state, "require");
  lua_pushliteral(state, "parlance.socket");
  lua_call(state, 1, 1);
  return 1;
}

/* What LuaSocket itself has under this name would block the loop. */
static void preload_socket(lua_State *state) {
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(state, open_socket);
  lua_setfield(state, -2, "socket");
  lua_pop(state, 1);
}

void modules_open(lua_State *state, const struct script_options *options, const char *service) {
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  module_parlance_push(state, service, options->clock);
  lua_setfield(state, -2, "parlance");
  luaL_requiref(state, "parlance.framing", module_framing_open, 0);
  lua_pop(state, 1);
  http_response_push(state, options->clock);
  lua_setfield(state, -2, "parlance.http.response");
  luaL_requiref(state, "parlance.http.url", http_url_open, 0);
  lua_pop(state, 1);
  luaL_requiref(state, "parlance.files", module_files_open, 0);
  lua_pop(state, 1);
  luaL_requiref(state, "parlance.datagrams", module_datagrams_open, 0);
  lua_pop(state, 1);
  luaL_requiref(state, "parlance.net", module_net_open, 0);
  lua_pop(state, 1);
  luaL_requiref(state, "parlance.process", module_process_open, 0);
  lua_pop(state, 2);
  if (options->modules) preload_socket(state);
  if (options->clock) simulated_globals_install(state, options->clock, options->chance);
  if (options->sandbox) sandbox_install(state, options->sandbox);
}

static int begin_play(lua_State *state) {
  const struct script *script = lua_touserdata(state, 1);
  simulated_globals_seed(state, script->options.chance);
  return 0;
}

void modules_begin_play(struct script *script) {
  (void)gate_run(&script->gate, begin_play, script);
}
