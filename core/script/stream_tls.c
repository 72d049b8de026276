#include "script/stream_tls.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/alpn.h"
#include "base/log.h"
#include "script/client_tls.h"
#include "script/script_internal.h"
#include "script/stream_tap.h"
#include "script/stream_value.h"
#include "script/task.h"

enum {
  START_TIMEOUT = 10000, /* ms, by default. */
  HOST_MAX = 253         /* The most bytes of a name. */
};

/* The texts of the options. */
enum field { SERVER_NAME, CA, CERTIFICATE, KEY, ALPN, FIELDS };

static const char *const names[FIELDS] = {
    [SERVER_NAME] = "server_name",
    [CA] = "ca",
    [CERTIFICATE] = "certificate",
    [KEY] = "key",
    [ALPN] = "alpn",
};

/* What is asked for. The texts stand on Lua's stack. */
struct asked {
  const char *texts[FIELDS]; /* "": it was not given. */
  bool verifies;
};

/* ---- options ------------------------------------------------------------------------------- */

static enum field find_field(const char *name) {
  enum field field = SERVER_NAME;
  while (field < FIELDS && strcmp(names[field], name) != 0) field++;
  return field;
}

/* The value stands on the top. */
static const char *check_text(lua_State *state, enum field field, int argument) {
  size_t length;
  if (lua_type(state, -1) != LUA_TSTRING)
    luaL_argerror(state, argument, lua_pushfstring(state, "tls.%s must be a string", names[field]));
  const char *text = lua_tolstring(state, -1, &length);
  if (length == 0 || strlen(text) != length)
    luaL_argerror(state, argument,
                  lua_pushfstring(state, "tls.%s must not be empty or hold a zero", names[field]));
  luaL_argcheck(state, field != SERVER_NAME || length <= HOST_MAX, argument,
                "tls.server_name must have at most 253 bytes");
  /* OpenSSL would take it for all names below that. */
  luaL_argcheck(state, field != SERVER_NAME || *text != '.', argument,
                "tls.server_name must not begin with a dot");
  luaL_argcheck(state, field != ALPN || (length <= NETWORK_ALPN_MAX && alpn_is_valid(text)),
                argument, "tls.alpn must be a list, such as h2,http/1.1");
  return text;
}

/* The key and the value stand on the top. The value goes to its place at `base`. */
static void take_option(lua_State *state, int base, int argument, struct asked *asked) {
  const char *name = lua_type(state, -2) == LUA_TSTRING ? lua_tostring(state, -2) : "";
  enum field field = find_field(name);
  if (field < FIELDS) {
    asked->texts[field] = check_text(state, field, argument);
    lua_replace(state, base + (int)field);
  } else if (strcmp(name, "verify") == 0) {
    luaL_argcheck(state, lua_isboolean(state, -1), argument, "tls.verify must be true or false");
    asked->verifies = lua_toboolean(state, -1);
    lua_pop(state, 1);
  } else
    luaL_argerror(state, argument,
                  lua_pushfstring(state, "tls has no option %s", luaL_tolstring(state, -2, NULL)));
}

static void take_options(lua_State *state, int index, int argument, struct asked *asked) {
  int base = lua_gettop(state) + 1;
  bool is_true = lua_isboolean(state, index) && lua_toboolean(state, index);
  luaL_argcheck(state, is_true || lua_istable(state, index), argument,
                "tls must be true or a table of options");
  lua_settop(state, base + (int)FIELDS - 1);
  lua_pushnil(state);
  while (!is_true && lua_next(state, index) != 0) take_option(state, base, argument, asked);
  luaL_argcheck(state, *asked->texts[KEY] == '\0' || *asked->texts[CERTIFICATE] != '\0', argument,
                "tls.key needs tls.certificate");
}

static const char *copy(char **to, const char *text) {
  size_t size = strlen(text) + 1;
  char *copied = memcpy(*to, text, size);
  *to += size;
  return copied;
}

void stream_tls_take(lua_State *state, int index, int argument, struct stream *stream) {
  struct asked asked = {{"", "", "", "", ""}, .verifies = true};
  size_t size = sizeof(struct stream_tls);
  luaL_checkstack(state, FIELDS + 4, NULL);
  take_options(state, index, argument, &asked);
  bool is_nobody = strncmp(stream->address, "unix:", 5) == 0 && *asked.texts[SERVER_NAME] == '\0';
  luaL_argcheck(state, !is_nobody || !asked.verifies, argument,
                "tls to a Unix socket needs a server_name: its address has no name to verify");
  for (size_t i = 0; i < FIELDS; i++) size += strlen(asked.texts[i]) + 1;
  struct stream_tls *tls = memory_take(&stream->script->memory, size);
  if (!tls) {
    gate_raise_no_memory(state);
    return;
  }
  char *to = tls->texts;
  tls->version = 0;
  tls->description = NULL;
  tls->size = size;
  tls->options = (struct network_tls){.address = stream->address,
                                      .server_name = copy(&to, asked.texts[SERVER_NAME]),
                                      .ca = copy(&to, asked.texts[CA]),
                                      .certificate = copy(&to, asked.texts[CERTIFICATE]),
                                      .key = copy(&to, asked.texts[KEY]),
                                      .alpn = copy(&to, asked.texts[ALPN]),
                                      .verifies = asked.verifies};
  stream->tls = tls;
}

/* Once for each script. */
static void warn(struct script *script, const struct stream *stream) {
  struct log_line line;
  bool is_simulated = script->options.clock != NULL;
  if (stream->tls->options.verifies || script->has_warned_of_tls || is_simulated) return;
  if (!gate_begin_notice(&script->gate, &line, "tls_not_verified")) return;
  script->has_warned_of_tls = true;
  log_text(&line, "address", stream->address);
  log_text(&line, "detail", "verify = false: anybody may stand between");
  log_end(&line);
}

static int push_failure(lua_State *state, const char *why, const char *code) {
  lua_pushnil(state);
  lua_pushstring(state, why);
  lua_pushstring(state, code);
  return 3;
}

bool stream_tls_prepare(lua_State *state, struct stream *stream, const struct task *task) {
  struct network *network = stream->script->world->network;
  struct stream_tls *tls = stream->tls;
  char why[NETWORK_WHY_MAX];
  warn(stream->script, stream);
  if (network->prepare_tls(network, &tls->options, &tls->version, why) == STATUS_OK) return true;
  const char *code = stream_tls_code(NETWORK_CERTIFICATE);
  stream_tap_use(stream, task);
  stream_tap_failure(stream, stream->channel ? TAP_ENCRYPTS : TAP_FAILS, code, why);
  stream_drop(stream);
  push_failure(state, why, code);
  return false;
}

bool stream_tls_is_same(const struct stream_tls *one, const struct stream_tls *other) {
  if (!one || !other) return one == other;
  size_t length = one->size - sizeof *one;
  return one->version == other->version && one->options.verifies == other->options.verifies &&
         one->size == other->size && memcmp(one->texts, other->texts, length) == 0;
}

const char *stream_tls_code(enum network_error error) {
  static const char *const codes[] = {
      [NETWORK_OK] = "timeout",          [NETWORK_REFUSED] = "refused",
      [NETWORK_NAME] = "name",           [NETWORK_UNREACHABLE] = "unreachable",
      [NETWORK_HANDSHAKE] = "handshake", [NETWORK_CERTIFICATE] = "certificate"};
  return codes[error];
}

void stream_tls_free(struct script *script, struct stream_tls *tls) {
  if (!tls) return;
  free(tls->description);
  memory_give(&script->memory, tls, tls->size);
}

/* ---- start_tls ----------------------------------------------------------------------------- */

static void undo_start(struct task *task) {
  struct stream *stream = task->waits_for;
  stream->connector = NULL;
  stream_drop(stream);
}

/* Without TLS the stream is over, whatever went wrong: what comes may be anybody's. */
static int start_again(lua_State *state, int status, lua_KContext context) {
  struct stream *stream = stream_value_test(state, 1);
  (void)status, (void)context;
  stream->connector = NULL;
  task_check_cancel(state);
  if (stream->is_closed) return task_push_failure(state, "closed");
  if (stream->tls_phase == STREAM_TLS_ON) {
    stream_tap(stream, TAP_ENCRYPTS, (struct span){NULL, 0});
    lua_settop(state, 1);
    return 1;
  }
  const char *code = stream_tls_code(stream->error);
  const char *why = stream->error == NETWORK_OK ? code : stream->tls->why;
  stream_tap_failure(stream, TAP_ENCRYPTS, code, why);
  stream_drop(stream);
  return push_failure(state, why, code);
}

int stream_tls_start(lua_State *state) {
  struct stream *stream = stream_value_check_whole(state, 1, "start_tls");
  lua_settop(state, 2);
  if (stream->kind != STREAM_CONNECTION)
    return luaL_error(state, "a pipe of a program has no start_tls");
  struct task *task = task_begin_wait(state, "stream:start_tls");
  if (!task) return 3;
  if (stream->is_closed || stream->wants_shutdown) return task_push_failure(state, "closed");
  if (stream->tls) return luaL_error(state, "the stream has TLS already");
  if (stream->reader || stream->writer) return luaL_error(state, "another task uses the stream");
  if (lua_isnil(state, 2)) {
    lua_pushboolean(state, true);
    lua_replace(state, 2);
  }
  stream_tls_take(state, 2, 2, stream);
  if (!stream_tls_prepare(state, stream, task)) return 3;
  stream_tap_use(stream, task);
  task_set_timeout(state, task,
                   stream->timeout == STREAM_NO_TIMEOUT_SET ? START_TIMEOUT
                   : stream->timeout > 0                    ? stream->timeout
                                                            : -1);
  stream->tls_phase = STREAM_TLS_ASKED;
  task->waits_for = stream;
  stream->connector = task;
  stream_note(stream);
  return task_wait_then(state, task, undo_start, start_again);
}

/* ---- stream.tls ---------------------------------------------------------------------------- */

/* The texts are the stream's, so that nothing is lost when Lua raises. */
void stream_tls_push(lua_State *state, const struct stream *stream) {
  const struct channel *channel = stream->channel;
  struct stream_tls *tls = stream->tls;
  bool is_on = tls && channel && !stream->is_closed && stream->tls_phase == STREAM_TLS_ON;
  if (is_on && !tls->description &&
      channel->class->describe_tls(channel, &tls->description, &tls->description_length) !=
          STATUS_OK)
    gate_raise_no_memory(state);
  if (is_on)
    client_tls_push_texts(state, (struct span){tls->description, tls->description_length});
  else
    lua_pushnil(state);
}
