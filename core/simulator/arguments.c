#include "simulator/arguments.h"

#include "modules/modules.h"

void arguments_add_class(lua_State *L, const char *name, const luaL_Reg *methods,
                         lua_CFunction close) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__gc");
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
}

void arguments_take_table(lua_State *L, int index) {
  lua_settop(L, index);
  if (!lua_isnil(L, index)) luaL_checktype(L, index, LUA_TTABLE);
  lua_newtable(L);
  if (lua_istable(L, index)) {
    for (lua_pushnil(L); lua_next(L, index);) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, index + 1);
    }
  }
  lua_replace(L, index);
}

const char *arguments_text(lua_State *L, int table, const char *name, const char *otherwise) {
  const char *value = otherwise;
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TSTRING) luaL_error(L, "%s must be a string", name);
  if (type == LUA_TSTRING) value = lua_tostring(L, -1);
  lua_pop(L, 1);
  return value;
}

bool arguments_flag(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool is_set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is_set;
}

lua_Integer arguments_integer(lua_State *L, int table, const char *name, lua_Integer otherwise) {
  int is_whole = 1;
  lua_Integer value = otherwise;
  if (lua_getfield(L, table, name) != LUA_TNIL) value = lua_tointegerx(L, -1, &is_whole);
  if (!is_whole) luaL_error(L, "%s must be a whole number", name);
  lua_pop(L, 1);
  return value;
}

/* Reads the field `settings`, a table or nil, of the table at index. Stores there the userdata that
 * holds the settings and their strings. */
static void take_settings(lua_State *L, int table, struct script_options *options) {
  if (lua_getfield(L, table, "settings") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  luaL_argcheck(L, lua_istable(L, -1), table, "settings must be a table");
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) count++;
  struct script_setting *settings = lua_newuserdatauv(L, (count + 1) * sizeof *settings, 1);
  lua_createtable(L, (int)(2 * count), 0); /* It holds the strings. */
  options->settings = settings;
  for (lua_pushnil(L); lua_next(L, -4); lua_pop(L, 1)) {
    struct script_setting *setting = &settings[options->setting_count];
    bool is_text = lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING;
    if (!is_text || ++options->setting_count > count)
      luaL_error(L, "settings must be strings with names");
    setting->name.data = lua_tolstring(L, -2, &setting->name.length);
    setting->value.data = lua_tolstring(L, -1, &setting->value.length);
    if (!script_setting_is_name(setting->name))
      luaL_error(L, "\"%s\" is no name of a setting: it must have %s", setting->name.data,
                 script_setting_names);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -4, 2 * (lua_Integer)options->setting_count - 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, 2 * (lua_Integer)options->setting_count);
  }
  lua_setiuservalue(L, -2, 1);
  lua_setfield(L, table, "settings");
  lua_pop(L, 1);
}

void arguments_script(lua_State *L, struct script_options *options) {
  *options = (struct script_options){
      .path = luaL_checkstring(L, 1),
      .open_modules = modules_open,
      .string_seed = (uint32_t)arguments_integer(L, 2, "string_seed", 0),
      .chance = (uint32_t)arguments_integer(L, 2, "seed", 1),
      .modules = arguments_text(L, 2, "modules", NULL),
      .memory_limit = (size_t)arguments_integer(L, 2, "memory_limit", 0),
      .call_timeout = arguments_integer(L, 2, "call_timeout", 1000),
      .max_request = arguments_integer(L, 2, "max_request", LIMIT_NOT_GIVEN),
      .max_unsent = arguments_integer(L, 2, "max_unsent", LIMIT_NOT_GIVEN),
      .request_timeout = arguments_integer(L, 2, "request_timeout", LIMIT_NOT_GIVEN),
      .idle_timeout = arguments_integer(L, 2, "idle_timeout", LIMIT_NOT_GIVEN),
      .write_timeout = arguments_integer(L, 2, "write_timeout", LIMIT_NOT_GIVEN),
      .response_timeout = arguments_integer(L, 2, "response_timeout", LIMIT_NOT_GIVEN),
      .max_tasks = arguments_integer(L, 2, "max_tasks", LIMIT_NOT_GIVEN)};
  take_settings(L, 2, options);
}

void arguments_identity(lua_State *L, int table, const char *service,
                        struct session_identity *who) {
  const char *host = arguments_text(L, table, "host", "192.0.2.1");
  *who = (struct session_identity){
      .service = service,
      .host = host,
      .name = arguments_text(L, table, "name", host),
      .port = (unsigned)arguments_integer(L, table, "port", 50000),
      .server_host = arguments_text(L, table, "server_host", "127.0.0.1"),
      .server_port = (unsigned)arguments_integer(L, table, "server_port", 8888),
      .transport = "tcp"};
}

void arguments_keep(lua_State *L) {
  for (int i = 1; i <= 2; i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, -2, i);
  }
}

void arguments_push_outcome(lua_State *L, enum reload_outcome outcome) {
  static const char *const words[] = {
      [RELOAD_UNCHANGED] = "unchanged", [RELOAD_DONE] = "reloaded",
      [RELOAD_REFUSED] = "refused",     [RELOAD_LATER] = "lacking",
      [RELOAD_UNCHECKED] = "unchecked", [RELOAD_CHECKING] = "checking",
      [RELOAD_COMPILING] = "compiling"};
  lua_pushstring(L, words[outcome]);
}

static void add_file(void *context, const char *path) {
  lua_State *L = context;
  lua_pushstring(L, path);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

void arguments_push_files(lua_State *L, const struct script *script) {
  lua_createtable(L, (int)reload_count_files(script), 0);
  reload_each_file(script, add_file, L);
}
