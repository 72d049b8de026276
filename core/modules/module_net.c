#include "modules/module_net.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "script/kept.h"
#include "script/script_internal.h"
#include "script/stream_tap.h"
#include "script/stream_value.h"
#include "script/task.h"

enum { CONNECT_TIMEOUT = 10000 /* ms, by default. */ };

static const double longest = 1e9; /* Seconds. */

static int push_failure(lua_State *state, const char *why, const char *code) {
  lua_pushnil(state);
  lua_pushstring(state, why);
  lua_pushstring(state, code);
  return 3;
}

/* What is simulated must do no harm. */
static struct network *check_network(lua_State *state, const char *verb, const char *place) {
  struct network *network = script_of_state(state)->world->network;
  if (!network) luaL_error(state, "a simulated script would %s %s", verb, place);
  return network;
}

/* ---- connect ------------------------------------------------------------------------------- */

/* The stack of connect(). */
enum { ADDRESS = 1, OPTIONS, STREAM, TLS };

struct options {
  int64_t timeout; /* ms; -1: none. */
  bool reuses;
  bool has_tls; /* The value of `tls` stands at TLS. */
};

static void check_option(lua_State *state, struct options *options) {
  size_t length = 0;
  int is_number;
  const char *name = lua_type(state, -2) == LUA_TSTRING ? lua_tolstring(state, -2, &length) : "";
  if (length == 7 && memcmp(name, "timeout", 7) == 0) {
    double seconds = lua_tonumberx(state, -1, &is_number);
    luaL_argcheck(state, is_number && seconds >= 0 && seconds <= longest, OPTIONS,
                  "timeout must be a number of seconds from 0 to 1e9");
    options->timeout = seconds > 0 ? (int64_t)ceil(seconds * 1000) : -1;
  } else if (length == 5 && memcmp(name, "reuse", 5) == 0) {
    luaL_argcheck(state, lua_isboolean(state, -1), OPTIONS, "reuse must be true or false");
    options->reuses = lua_toboolean(state, -1);
  } else if (length == 3 && memcmp(name, "tls", 3) == 0) {
    options->has_tls = !lua_isboolean(state, -1) || lua_toboolean(state, -1);
    lua_copy(state, -1, TLS);
  } else
    luaL_error(state, "net.connect has no option %s", luaL_tolstring(state, -2, NULL));
}

static struct options take_options(lua_State *state) {
  struct options options = {.timeout = CONNECT_TIMEOUT};
  if (lua_isnil(state, OPTIONS)) return options;
  luaL_checktype(state, OPTIONS, LUA_TTABLE);
  lua_pushnil(state);
  while (lua_next(state, OPTIONS) != 0) {
    check_option(state, &options);
    lua_pop(state, 1);
  }
  return options;
}

static void undo_connect(struct task *task) {
  struct stream *stream = task->waits_for;
  stream->connector = NULL;
  stream_drop(stream);
}

static int finish_connect(lua_State *state, struct stream *stream) {
  bool is_ready = !stream->tls || stream->tls_phase == STREAM_TLS_ON;
  if (stream->channel && !stream->is_closed && is_ready) {
    if (stream->is_reused)
      stream_tap(stream, TAP_OPENS, (struct span){NULL, 0});
    else
      stream_tap_opened(stream);
    lua_settop(state, STREAM);
    return 1;
  }
  bool has_failed = stream->error != NETWORK_OK;
  const char *code = stream_tls_code(stream->error);
  const char *failure = stream->tls ? stream->tls->why : stream->why;
  const char *why = has_failed ? failure : code;
  stream_tap_failure(stream, TAP_FAILS, code, why);
  stream_drop(stream);
  return push_failure(state, why, code);
}

static int connect_again(lua_State *state, int status, lua_KContext top) {
  struct stream *stream = stream_value_test(state, STREAM);
  (void)status;
  (void)top;
  stream->connector = NULL;
  task_check_cancel(state);
  return finish_connect(state, stream);
}

/* Takes a kept channel. False: there is none. */
static bool reuse(struct stream *stream, const struct task *task) {
  struct channel *channel = kept_take(stream, stream_tap_session(task));
  if (!channel) return false;
  stream_open(stream, channel);
  stream->is_reused = true;
  if (stream->tls) stream->tls_phase = STREAM_TLS_ON;
  return true;
}

/* The value is there before anything is begun, so that nothing is lost if there is no memory. */
static int net_connect(lua_State *state) {
  const char *address = luaL_checkstring(state, ADDRESS), *why;
  lua_settop(state, OPTIONS);
  struct stream *stream = stream_value_push(state, script_of_state(state), address);
  lua_settop(state, TLS);
  struct options options = take_options(state);
  if (options.has_tls) stream_tls_take(state, TLS, OPTIONS, stream);
  struct task *task = task_begin_wait(state, "net.connect");
  if (!task) return 3;
  struct network *network = check_network(state, "connect to", address);
  if (stream->tls && !stream_tls_prepare(state, stream, task)) return 3;
  stream->asked.tls = stream->tls ? &stream->tls->options : NULL;
  if (options.reuses && reuse(stream, task)) {
    owned_give(&stream->owned, &task->owned);
    return finish_connect(state, stream);
  }
  enum status status = network->connect(network, address, &stream->asked, &why);
  if (status == STATUS_ERROR)
    return luaL_argerror(state, ADDRESS, lua_pushfstring(state, "%s: %s", address, why));
  if (status != STATUS_OK) return gate_raise_no_memory(state);
  stream_tap_use(stream, task);
  owned_give(&stream->owned, &task->owned);
  task_set_timeout(state, task, options.timeout);
  task->waits_for = stream;
  stream->connector = task;
  return task_wait_then(state, task, undo_connect, connect_again);
}

/* ---- resolve ------------------------------------------------------------------------------- */

/* What resolve() waits for: a userdata, because its memory must outlive an error. */
struct resolving {
  struct network_resolve asked;
  struct network *network;
  struct task *task; /* NULL: it does not wait. */
  size_t count;
  char why[80];
  char addresses[NETWORK_ADDRESSES_MAX][64];
};

static void copy(char *into, size_t size, const char *text) {
  size_t length = strnlen(text, size - 1);
  memcpy(into, text, length);
  into[length] = '\0';
}

static void on_resolved(struct network_resolve *asked, const char *const *addresses, size_t count,
                        const char *why) {
  struct resolving *resolving = (struct resolving *)asked;
  resolving->count = count;
  for (size_t i = 0; i < count; i++)
    copy(resolving->addresses[i], sizeof resolving->addresses[i], addresses[i]);
  if (count == 0) copy(resolving->why, sizeof resolving->why, why);
  if (resolving->task) task_wake(resolving->task, 0);
}

static void stop_resolving(struct resolving *resolving) {
  if (resolving->asked.lookup) resolving->network->cancel_resolve(&resolving->asked);
  resolving->task = NULL;
}

static void undo_resolve(struct task *task) { stop_resolving(task->waits_for); }

static int resolve_again(lua_State *state, int status, lua_KContext top) {
  struct resolving *resolving = lua_touserdata(state, 2);
  (void)status;
  (void)top;
  resolving->task = NULL;
  task_check_cancel(state);
  if (resolving->count == 0) return push_failure(state, resolving->why, "name");
  lua_createtable(state, (int)resolving->count, 0);
  for (size_t i = 0; i < resolving->count; i++) {
    lua_pushstring(state, resolving->addresses[i]);
    lua_rawseti(state, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int collect_resolving(lua_State *state) {
  stop_resolving(lua_touserdata(state, 1));
  return 0;
}

static const char resolving_class[] = "parlance.net.resolving";

static int net_resolve(lua_State *state) {
  size_t length;
  const char *name = luaL_checklstring(state, 1, &length);
  luaL_argcheck(state, length > 0 && length < 254 && strlen(name) == length, 1,
                "must be a name of 1 to 253 bytes");
  lua_settop(state, 1);
  struct resolving *resolving = lua_newuserdatauv(state, sizeof *resolving, 0);
  *resolving = (struct resolving){.asked.on_end = on_resolved};
  luaL_setmetatable(state, resolving_class);
  struct task *task = task_begin_wait(state, "net.resolve");
  if (!task) return 3;
  resolving->network = check_network(state, "look up", name);
  if (resolving->network->resolve(resolving->network, name, &resolving->asked) != STATUS_OK)
    return gate_raise_no_memory(state);
  task->waits_for = resolving;
  resolving->task = task;
  return task_wait_then(state, task, undo_resolve, resolve_again);
}

int module_net_open(lua_State *state) {
  static const luaL_Reg functions[] = {
      {"connect", net_connect}, {"resolve", net_resolve}, {NULL, NULL}};
  luaL_newmetatable(state, resolving_class);
  lua_pushcfunction(state, collect_resolving);
  lua_setfield(state, -2, "__gc");
  lua_pop(state, 1);
  luaL_newlib(state, functions);
  return 1;
}
