#include "reload/protocol.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "reload/environment.h"
#include "reload/field_lint.h"
#include "script/client.h"
#include "script/file_value.h"
#include "script/module_names.h"
#include "script/settings.h"

/* The longest time limit that makes sense, in seconds: it keeps sums of milliseconds in range. */
enum { MAX_SECONDS = 1000000000 };

static const int64_t default_max_request = 1024 * 1024, default_max_unsent = 1024 * 1024;
static const double default_request_timeout = 30, default_idle_timeout = 300,
                    default_write_timeout = 30, default_response_timeout = 60;

void protocol_prepare(lua_State *state, struct generation *generation, const char *path) {
  lua_createtable(state, ROOT_SOURCES, 0);
  struct sources *sources = environment_push(state, path);
  lua_rawseti(state, -3, ROOT_SOURCES);
  lua_rawseti(state, -2, ROOT_GLOBALS);
  generation->roots = luaL_ref(state, LUA_REGISTRYINDEX);
  generation->sources = sources;
  sources->takes_special = generation->number == 1;
}

/* Leaves the protocol on the stack. */
static void run_script(lua_State *state, struct generation *generation, const char *path) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->roots);
  lua_rawgeti(state, -1, ROOT_GLOBALS);
  environment_run(state, -1, generation->sources, path, 0);
  if (!lua_istable(state, -1))
    luaL_error(state, "%s: the script returned %s, not a table (its protocol)", path,
               luaL_typename(state, -1));
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->roots);
  lua_pushvalue(state, -2);
  lua_rawseti(state, -2, ROOT_PROTOCOL);
  lua_pop(state, 1);
}

static int complain(lua_State *state, const char *path, const char *key, const char *wanted) {
  const char *type = luaL_typename(state, -1);
  return luaL_error(state, "%s: %s is %s (%s), not %s", path, key, type,
                    luaL_tolstring(state, -1, NULL), wanted);
}

/* The name of the function of parlance.framing on the top, which makes framings; NULL: it is none.
 */
static const char *constructor_name(lua_State *state) {
  const char *name = NULL;
  int top = lua_gettop(state);
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_iscfunction(state, top) && lua_getfield(state, -1, "parlance.framing") == LUA_TTABLE)
    for (lua_pushnil(state); !name && lua_next(state, top + 2); lua_pop(state, 1))
      if (lua_rawequal(state, top, -1) && lua_type(state, -2) == LUA_TSTRING)
        name = lua_tostring(state, -2);
  lua_settop(state, top);
  return name;
}

/* Whether the field on top of the stack, request_complete or datagram, is a framing; it is kept
 * then. */
static bool keep_framing(lua_State *state, struct generation *generation, const char *path,
                         enum function function) {
  const char *name = generation_function_name(function);
  const char *constructor = constructor_name(state);
  if (constructor)
    luaL_error(state, "%s: %s is framing.%s, which makes a framing when it is called", path, name,
               constructor);
  const struct framing_value *value = framing_value_test(state, -1);
  if (!value) return false;
  if (function == FUNCTION_DATAGRAM) {
    if (framing_streams_body(&value->framing))
      luaL_error(state, "%s: datagram is a framing with stream_body, but a datagram comes whole",
                 path);
    generation->datagram = value;
    return true;
  }
  generation->framing = value->framing;
  generation->push_request = value->push_request;
  generation->handler.framing = &generation->framing;
  return true;
}

/* Keeps the function at `key` of the protocol at index `protocol`, if there is one. */
static void keep_function(lua_State *state, struct generation *generation, int protocol,
                          const char *path, enum function function) {
  const char *name = generation_function_name(function);
  lua_getfield(state, protocol, name);
  bool is_framing = (function == FUNCTION_REQUEST_COMPLETE || function == FUNCTION_DATAGRAM) &&
                    keep_framing(state, generation, path, function);
  if (!is_framing && !lua_isfunction(state, -1) && !lua_isnil(state, -1))
    complain(state, path, name, "a function");
  if (lua_isnil(state, -1))
    lua_pop(state, 1);
  else
    generation->functions[function] = luaL_ref(state, LUA_REGISTRYINDEX);
}

/* What may have been meant is told: a field with a like name, or a framing that is not there. */
static void complain_of_lack(lua_State *state, int protocol, const char *path,
                             enum function function) {
  const char *name = generation_function_name(function);
  const char *field = field_lint_find(state, protocol, name);
  if (field) luaL_error(state, "%s: the protocol lacks %s; is it %s?", path, name, field);
  if (module_names_push_hint(state, NULL))
    luaL_error(state, "%s: the protocol lacks %s (%s)", path, name, lua_tostring(state, -1));
  luaL_error(state, "%s: the protocol lacks %s", path, name);
}

/* Whether the protocol needs no request_complete, because no connection asks for it. */
static bool is_for_datagrams(lua_State *state, const struct generation *generation, int protocol) {
  if (generation->functions[FUNCTION_DATAGRAM] != LUA_NOREF) return true;
  bool listens = lua_getfield(state, protocol, "listen") == LUA_TSTRING &&
                 strncmp(lua_tostring(state, -1), "udp:", 4) == 0;
  lua_pop(state, 1);
  return listens;
}

static void check_functions(lua_State *state, struct generation *generation, int protocol,
                            const char *path) {
  bool has_request = generation->functions[FUNCTION_REQUEST_COMPLETE] != LUA_NOREF;
  bool has_response = generation->functions[FUNCTION_MAKE_RESPONSE] != LUA_NOREF;
  bool has_connect = generation->functions[FUNCTION_HANDLE_CONNECT] != LUA_NOREF;
  bool has_expect = generation->functions[FUNCTION_HANDLE_EXPECT] != LUA_NOREF;
  const struct framing *framing = generation->handler.framing;
  if (has_expect && (!framing || framing->kind != FRAMING_HTTP))
    luaL_error(state, "%s: handle_expect is asked only behind framing.http", path);
  generation->is_connect_only = !has_request;
  if (has_connect && !has_request && !has_response) return;
  if (!has_request && !is_for_datagrams(state, generation, protocol))
    complain_of_lack(state, protocol, path, FUNCTION_REQUEST_COMPLETE);
  if (!has_response) complain_of_lack(state, protocol, path, FUNCTION_MAKE_RESPONSE);
}

/* Seconds in the script, 0 for no limit; milliseconds from here on, rounded up. */
static int64_t time_limit(lua_State *state, int protocol, const char *path, const char *key,
                          int64_t given, double otherwise) {
  lua_Number seconds = otherwise;
  if (lua_getfield(state, protocol, key) != LUA_TNIL) {
    if (lua_type(state, -1) != LUA_TNUMBER ||
        !((seconds = lua_tonumber(state, -1)) >= 0 && seconds <= MAX_SECONDS))
      complain(state, path, key, "a number of seconds");
  }
  lua_pop(state, 1);
  return given != LIMIT_NOT_GIVEN ? given : (int64_t)ceil(seconds * 1000);
}

static lua_Integer whole_number(lua_State *state, int protocol, const char *path, const char *key,
                                const char *what, lua_Integer otherwise, lua_Integer max) {
  lua_Integer value = otherwise;
  if (lua_getfield(state, protocol, key) != LUA_TNIL) {
    int is_whole = 0;
    if (lua_type(state, -1) == LUA_TNUMBER) value = lua_tointegerx(state, -1, &is_whole);
    if (!is_whole || value < 1 || value > max) complain(state, path, key, what);
  }
  lua_pop(state, 1);
  return value;
}

static void read_limits(lua_State *state, struct generation *generation, int protocol,
                        const struct script_options *options) {
  const char *path = options->path;
  struct limits *limits = &generation->handler.limits;
  static const char of_bytes[] = "a whole number of bytes in range";
  lua_Integer max_request = whole_number(state, protocol, path, "max_request", of_bytes,
                                         default_max_request, PTRDIFF_MAX / 4);
  if (options->max_request != LIMIT_NOT_GIVEN) max_request = options->max_request;
  limits->max_request = (size_t)max_request;
  lua_Integer max_unsent = whole_number(state, protocol, path, "max_unsent", of_bytes,
                                        default_max_unsent, PTRDIFF_MAX / 4);
  if (options->max_unsent != LIMIT_NOT_GIVEN) max_unsent = options->max_unsent;
  limits->max_unsent = (size_t)max_unsent;
  lua_Integer amplification = whole_number(state, protocol, path, "amplification",
                                           "a whole number, from 1 to 1e9", 0, 1000000000);
  limits->amplification = (size_t)amplification;
  limits->request_timeout = time_limit(state, protocol, path, "request_timeout",
                                       options->request_timeout, default_request_timeout);
  limits->idle_timeout = time_limit(state, protocol, path, "idle_timeout", options->idle_timeout,
                                    default_idle_timeout);
  limits->write_timeout = time_limit(state, protocol, path, "write_timeout", options->write_timeout,
                                     default_write_timeout);
  limits->response_timeout = time_limit(state, protocol, path, "response_timeout",
                                        options->response_timeout, default_response_timeout);
  generation->blocksize =
      whole_number(state, protocol, path, "blocksize", of_bytes, 65536, BLOCKSIZE_MAX);
  lua_Integer max_tasks =
      whole_number(state, protocol, path, "max_tasks", "a whole number of tasks, from 1 to 1e9",
                   GENERATION_MAX_TASKS, 1000000000);
  if (options->max_tasks == LIMIT_NOT_GIVEN) generation->max_tasks = (size_t)max_tasks;
}

static size_t read_text(lua_State *state, int protocol, const char *path, const char *key,
                        char *into, size_t capacity) {
  size_t length = 0;
  if (lua_getfield(state, protocol, key) != LUA_TNIL) {
    if (lua_type(state, -1) != LUA_TSTRING) complain(state, path, key, "a string");
    const char *text = lua_tolstring(state, -1, &length);
    if (length >= capacity) luaL_error(state, "%s: %s is too long", path, key);
    memcpy(into, text, length);
  }
  into[length] = '\0';
  lua_pop(state, 1);
  return length;
}

static bool read_flag(lua_State *state, int protocol, const char *path, const char *key,
                      bool otherwise) {
  bool value = otherwise;
  if (lua_getfield(state, protocol, key) != LUA_TNIL) {
    if (!lua_isboolean(state, -1)) complain(state, path, key, "true or false");
    value = lua_toboolean(state, -1);
  }
  lua_pop(state, 1);
  return value;
}

static void read_fields(lua_State *state, struct generation *generation, int protocol,
                        const char *path) {
  generation->close_when_done = read_flag(state, protocol, path, "close_when_done", true);
  generation->handler.ends_with_peer = !read_flag(state, protocol, path, "half_close", true);
  size_t length = read_text(state, protocol, path, "listen", generation->listen, LISTEN_MAX);
  if (strlen(generation->listen) != length) luaL_error(state, "%s: listen holds a zero byte", path);
  generation->example_length =
      read_text(state, protocol, path, "example", generation->example, EXAMPLE_MAX);
}

void protocol_load(lua_State *state, struct generation *generation,
                   const struct script_options *options) {
  run_script(state, generation, options->path);
  int protocol = lua_gettop(state);
  for (int i = 0; i < FUNCTION_COUNT; i++)
    keep_function(state, generation, protocol, options->path, (enum function)i);
  check_functions(state, generation, protocol, options->path);
  read_limits(state, generation, protocol, options);
  read_fields(state, generation, protocol, options->path);
  settings_check(state, protocol, options, script_name(generation->script));
  generation->handler.has_files = file_value_is_used(state);
  generation->handler.wants_on_connect =
      generation->functions[FUNCTION_HANDLE_CONNECT] != LUA_NOREF;
  generation->handler.wants_on_expect = generation->functions[FUNCTION_HANDLE_EXPECT] != LUA_NOREF;
  generation->handler.wants_on_error = generation->functions[FUNCTION_HANDLE_ERROR] != LUA_NOREF;
  generation->handler.wants_on_close = generation->functions[FUNCTION_HANDLE_CLOSE] != LUA_NOREF;
  field_lint_warn(state, protocol, script_name(generation->script));
  lua_pushstring(state, generation->handler.framing ? "request" : "incoming");
  generation->input_key = luaL_ref(state, LUA_REGISTRYINDEX);
  lua_pushliteral(state, "request");
  generation->request_key = luaL_ref(state, LUA_REGISTRYINDEX);
  lua_pushliteral(state, "close_when_done");
  generation->close_key = luaL_ref(state, LUA_REGISTRYINDEX);
  client_push_metatable(state, protocol);
  generation->metatable = luaL_ref(state, LUA_REGISTRYINDEX);
}
