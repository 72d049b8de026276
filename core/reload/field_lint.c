#include "reload/field_lint.h"

#include <lauxlib.h>
#include <string.h>

#include "base/log.h"
#include "base/spelling.h"
#include "script/client.h"
#include "script/sorted_keys.h"

/* distance(a, b): how many letters differ. */
static int distance(lua_State *state) {
  lua_pushinteger(state, spelling_distance(luaL_checkstring(state, 1), luaL_checkstring(state, 2)));
  return 1;
}

/* Takes a protocol, and returns a list of its fields, each followed by the similar known name. */
static int list_similar(lua_State *state) {
  lua_getglobal(state, "require");
  lua_pushliteral(state, "parlance.field_lint");
  lua_call(state, 1, 1);
  lua_insert(state, 1);
  lua_pushcfunction(state, distance);
  lua_call(state, 2, 1);
  return 1;
}

/* Pushes that list, or what went wrong. Returns how many names the list has. */
static lua_Integer push_similar(lua_State *state, int protocol) {
  protocol = lua_absindex(state, protocol);
  lua_pushcfunction(state, list_similar);
  lua_pushvalue(state, protocol);
  bool is_done = lua_pcall(state, 1, 1, 0) == LUA_OK && lua_istable(state, -1);
  return is_done ? (lua_Integer)lua_rawlen(state, -1) : 0;
}

/* Warns of fields that hide a method of every `self`. */
static void warn_of_hidden(lua_State *state, int protocol, const char *service) {
  enum { METHODS_MAX = 100 };
  protocol = lua_absindex(state, protocol);
  int top = lua_gettop(state);
  client_push_methods(state);
  sorted_keys_push(state, top + 1, METHODS_MAX);
  for (lua_Integer i = 1; lua_rawgeti(state, top + 2, i) == LUA_TSTRING; i++) {
    struct log_line line;
    const char *name = lua_tostring(state, -1);
    lua_pushvalue(state, -1);
    bool is_hidden = lua_rawget(state, protocol) != LUA_TNIL;
    if (is_hidden && log_begin(&line, LOG_WARN, "method_hidden")) {
      log_text(&line, "service", service);
      log_text(&line, "field", name);
      log_text(&line, "detail", "self has the protocol's field in the place of the method");
      log_end(&line);
    }
    lua_settop(state, top + 2);
  }
  lua_settop(state, top);
}

void field_lint_warn(lua_State *state, int protocol, const char *service) {
  warn_of_hidden(state, protocol, service);
  lua_Integer count = push_similar(state, protocol);
  for (lua_Integer i = 1; i < count; i += 2) {
    struct log_line line;
    lua_rawgeti(state, -1, i);
    lua_rawgeti(state, -2, i + 1);
    if (log_begin(&line, LOG_WARN, "misspelled")) {
      log_text(&line, "service", service);
      log_text(&line, "field", lua_tostring(state, -2));
      log_text(&line, "meant", lua_tostring(state, -1));
      log_end(&line);
    }
    lua_pop(state, 2);
  }
  lua_pop(state, 1);
}

const char *field_lint_find(lua_State *state, int protocol, const char *known) {
  const char *field = NULL;
  lua_Integer count = push_similar(state, protocol);
  for (lua_Integer i = 1; i < count && !field; i += 2) {
    lua_rawgeti(state, -1, i);
    lua_rawgeti(state, -2, i + 1);
    if (strcmp(lua_tostring(state, -1), known) == 0) field = lua_tostring(state, -2);
    lua_pop(state, 2);
  }
  lua_pop(state, 1);
  return field;
}
