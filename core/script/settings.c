#include "script/settings.h"

#include <lauxlib.h>
#include <string.h>

#include "base/log.h"
#include "script/sorted_keys.h"

/* The most settings that a protocol may document. */
enum { DOCUMENTED_MAX = 100 };

/* ---- parlance.settings --------------------------------------------------------------------- */

/* __newindex */
static int refuse_change(lua_State *state) {
  return luaL_error(state, "parlance.settings cannot be changed; a setting is given with --set");
}

/* The iterator of __pairs: calls Lua's next() on the table of the values. */
static int next_setting(lua_State *state) {
  lua_settop(state, 2);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 2);
  return lua_next(state, 2) ? 2 : 0;
}

/* __pairs */
static int iterate(lua_State *state) {
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_pushcclosure(state, next_setting, 1);
  return 1;
}

void settings_push(lua_State *state, const struct script_options *options) {
  lua_newtable(state);
  lua_createtable(state, 0, 4);
  lua_createtable(state, 0, (int)options->setting_count);
  for (size_t i = 0; i < options->setting_count; i++) { /* The last value of a name counts. */
    const struct script_setting *setting = &options->settings[i];
    lua_pushlstring(state, setting->name.data, setting->name.length);
    lua_pushlstring(state, setting->value.data, setting->value.length);
    lua_rawset(state, -3);
  }
  lua_pushvalue(state, -1);
  lua_pushcclosure(state, iterate, 1);
  lua_setfield(state, -3, "__pairs");
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, refuse_change);
  lua_setfield(state, -2, "__newindex");
  lua_pushliteral(state, "parlance.settings");
  lua_setfield(state, -2, "__metatable");
  lua_setmetatable(state, -2);
}

/* ---- what the protocol documents ----------------------------------------------------------- */

/* Checks the key at -2 and the value at -1: a name and a line of text. */
static void check_entry(lua_State *state, const char *path) {
  size_t length;
  if (lua_type(state, -2) != LUA_TSTRING)
    luaL_error(state, "%s: settings holds [%s]; its keys must be the names of settings", path,
               luaL_tolstring(state, -2, NULL));
  const char *name = lua_tolstring(state, -2, &length);
  if (!script_setting_is_name((struct span){name, length}))
    luaL_error(state, "%s: settings has \"%s\", which is no name: it must have %s", path, name,
               script_setting_names);
  if (lua_type(state, -1) != LUA_TSTRING)
    luaL_error(state, "%s: settings.%s is %s, not a line of text that says what it is", path, name,
               luaL_typename(state, -1));
  const char *about = lua_tolstring(state, -1, &length);
  if (strlen(about) != length || strchr(about, '\n'))
    luaL_error(state, "%s: settings.%s is not one line of text", path, name);
}

/* Checks the field, and leaves it on the stack: a table or nil. */
static void check_field(lua_State *state, int protocol, const char *path) {
  int count = 0;
  if (lua_getfield(state, protocol, "settings") == LUA_TNIL) return;
  const char *type = luaL_typename(state, -1);
  if (!lua_istable(state, -1))
    luaL_error(state, "%s: settings is %s (%s), not a table: name = \"what it is\"", path, type,
               luaL_tolstring(state, -1, NULL));
  for (lua_pushnil(state); lua_next(state, -2); lua_pop(state, 1)) {
    check_entry(state, path);
    if (++count > DOCUMENTED_MAX)
      luaL_error(state, "%s: settings has more than %d names", path, DOCUMENTED_MAX);
  }
}

/* Warns of a setting that the protocol does not document. `field` is the index of the documented
 * settings: a table or nil. */
static void warn(lua_State *state, int field, const char *given, const char *service) {
  struct log_line line;
  const char *nearest = NULL;
  if (lua_istable(state, field)) {
    sorted_keys_push(state, field, DOCUMENTED_MAX);
    nearest = sorted_keys_nearest(state, given);
  }
  if (!log_begin(&line, LOG_WARN, "unknown_setting")) return;
  log_text(&line, "service", service);
  log_text(&line, "setting", given);
  if (nearest) log_text(&line, "meant", nearest);
  log_end(&line);
}

void settings_check(lua_State *state, int protocol, const struct script_options *options,
                    const char *service) {
  check_field(state, protocol, options->path);
  int field = lua_gettop(state);
  for (size_t i = 0; i < options->setting_count; i++) {
    const struct span name = options->settings[i].name;
    const char *given = lua_pushlstring(state, name.data, name.length);
    bool is_known = lua_istable(state, field) &&
                    (lua_pushvalue(state, -1), lua_rawget(state, field) != LUA_TNIL);
    if (!is_known) warn(state, field, given, service);
    lua_settop(state, field);
  }
  lua_pop(state, 1);
}

void settings_describe(lua_State *state, int protocol, const struct script_options *options,
                       script_setting_visit visit, void *context) {
  check_field(state, protocol, options->path);
  int field = lua_gettop(state);
  if (!lua_istable(state, field)) return;
  settings_push(state, options);
  sorted_keys_push(state, field, DOCUMENTED_MAX);
  for (lua_Integer i = 1; lua_rawgeti(state, field + 2, i) == LUA_TSTRING; i++) {
    struct span given = {NULL, 0};
    const char *name = lua_tostring(state, -1);
    if (lua_getfield(state, field + 1, name) == LUA_TSTRING)
      given.data = lua_tolstring(state, -1, &given.length);
    lua_pushvalue(state, -2);
    bool has_text = lua_rawget(state, field) == LUA_TSTRING;
    if (has_text) visit(context, name, lua_tostring(state, -1), given.data ? &given : NULL);
    lua_settop(state, field + 2);
  }
}
