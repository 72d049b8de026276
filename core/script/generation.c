#include "script/generation.h"

#include <lauxlib.h>

const char *generation_function_name(enum function function) {
  static const char *const names[FUNCTION_COUNT] = {
      [FUNCTION_REQUEST_COMPLETE] = "request_complete",
      [FUNCTION_MAKE_RESPONSE] = "make_response",
      [FUNCTION_DATAGRAM] = "datagram",
      [FUNCTION_HANDLE_CONNECT] = "handle_connect",
      [FUNCTION_HANDLE_EXPECT] = "handle_expect",
      [FUNCTION_HANDLE_ERROR] = "handle_error",
      [FUNCTION_HANDLE_CLOSE] = "handle_close",
      [FUNCTION_SAVE] = "save",
      [FUNCTION_RESTORE] = "restore",
      [FUNCTION_ENCODE] = "encode",
  };
  return names[function];
}

void generation_init(struct generation *generation, struct script *script,
                     const struct handler *handler) {
  *generation = (struct generation){.handler = *handler,
                                    .script = script,
                                    .max_tasks = GENERATION_MAX_TASKS,
                                    .input_key = LUA_NOREF,
                                    .request_key = LUA_NOREF,
                                    .close_key = LUA_NOREF,
                                    .metatable = LUA_NOREF,
                                    .roots = LUA_NOREF};
  for (int i = 0; i < FUNCTION_COUNT; i++) generation->functions[i] = LUA_NOREF;
}

const char *generation_push_place(lua_State *state, const struct generation *generation,
                                  enum function function) {
  lua_Debug about;
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->functions[function]);
  lua_getinfo(state, ">S", &about);
  return lua_pushfstring(state, "%s:%d: %s", about.short_src, about.linedefined,
                         generation_function_name(function));
}

/* luaL_unref() leaves LUA_NOREF alone, and only changes fields that exist. */
void generation_unload(lua_State *state, struct generation *generation) {
  for (int i = 0; i < FUNCTION_COUNT; i++)
    luaL_unref(state, LUA_REGISTRYINDEX, generation->functions[i]);
  luaL_unref(state, LUA_REGISTRYINDEX, generation->input_key);
  luaL_unref(state, LUA_REGISTRYINDEX, generation->request_key);
  luaL_unref(state, LUA_REGISTRYINDEX, generation->close_key);
  luaL_unref(state, LUA_REGISTRYINDEX, generation->metatable);
  luaL_unref(state, LUA_REGISTRYINDEX, generation->roots);
}
