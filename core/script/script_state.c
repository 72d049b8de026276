#include "script/script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/arena.h"
#include "script/atomic.h"
#include "script/client_tls.h"
#include "script/connections.h"
#include "script/coroutines.h"
#include "script/datagrams.h"
#include "script/debug_library.h"
#include "script/every.h"
#include "script/finalizers.h"
#include "script/kept.h"
#include "script/lock.h"
#include "script/pool.h"
#include "script/push.h"
#include "script/queue.h"
#include "script/script_internal.h"
#include "script/sent_file.h"
#include "script/serve.h"
#include "script/settings.h"
#include "script/sleep.h"
#include "script/spawn.h"
#include "script/stream.h"
#include "script/stream_value.h"
#include "script/string_seed.h"
#include "script/subprocess.h"
#include "script/talk.h"
#include "script/task.h"
#include "script/task_handle.h"
#include "script/topic.h"
#include "script/tunnel.h"
#include "script/within.h"

static void take_name(struct script *script) {
  const char *start = strrchr(script->options.path, '/');
  snprintf(script->name, sizeof script->name, "%s", start ? start + 1 : script->options.path);
  char *ending = strrchr(script->name, '.');
  if (ending && ending != script->name) *ending = '\0';
}

/* os.exit(): what one script does must not end the others, nor an edit the server. */
static int refuse_exit(lua_State *state) {
  return luaL_error(state, "os.exit() is called, which would end the server");
}

static void replace_exit(lua_State *state) {
  lua_getglobal(state, LUA_OSLIBNAME);
  lua_pushcfunction(state, refuse_exit);
  lua_setfield(state, -2, "exit");
  lua_pop(state, 1);
}

/* Lua's collector works a little whenever so many bytes have been taken (a power of two), and by
 * its own default that little is all there is to collect in most scripts: everybody would wait for
 * it, a fifth of a millisecond and more. In smaller steps it does the same work. */
static void make_collector_gentle(lua_State *state) {
  enum { KEPT = 0, STEP = 8 };
  lua_gc(state, LUA_GCINC, KEPT, KEPT, STEP);
}

/* Lua finds a reference fastest in the array of the registry, which grows only while one is put
 * behind the other. What is freed here is what luaL_ref() gives next. */
static void make_room_for_references(lua_State *state) {
  enum { REFERENCES = 64 };
  int references[REFERENCES];
  for (int i = 0; i < REFERENCES; i++) {
    lua_pushboolean(state, true);
    references[i] = luaL_ref(state, LUA_REGISTRYINDEX);
  }
  for (int i = REFERENCES; i > 0; i--) luaL_unref(state, LUA_REGISTRYINDEX, references[i - 1]);
}

static int prepare(lua_State *state) {
  struct script *script = lua_touserdata(state, 1);
  make_collector_gentle(state);
  make_room_for_references(state);
  luaL_openlibs(state);
  coroutines_install(state);
  task_install(state);
  finalizers_install(state);
  debug_library_install(state);
  replace_exit(state);
  sent_file_open(state);
  stream_value_install(state);
  if (script->options.open_modules)
    script->options.open_modules(state, &script->options, script->name);
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(state, -1, "parlance");
  settings_push(state, &script->options);
  lua_setfield(state, -2, "settings");
  atomic_install(state);
  sleep_install(state);
  spawn_install(state, script);
  every_install(state, script);
  within_install(state);
  lock_install(state, script);
  queue_install(state);
  connections_install(state, script);
  topic_install(state);
  push_install(state, script);
  talk_install(state);
  client_tls_install(state);
  tunnel_install(state);
  return 0;
}

/* Only what runs outside of every protected call can come here, and nothing of ours that can raise
 * does. */
static int panic(lua_State *state) {
  fprintf(stderr, "parlance: error outside of the gate: %s\n", lua_tostring(state, -1));
  return 0;
}

static lua_State *new_state(struct script *script) {
  struct memory *memory = &script->memory;
  uint32_t seed = script->options.string_seed;
  if (seed != 0) memory->arena = arena_create();
  if (!memory->arena) memory->pool = pool_create(memory->nominal);
  lua_Alloc allocate = memory_allocate;
  if (memory->arena) allocate = arena_allocate;
  if (memory->pool) allocate = pool_allocate;
  return string_seed_new_state(allocate, memory, seed);
}

enum status script_create(const struct script_options *options, struct script **created) {
  struct script *script = calloc(1, sizeof *script);
  if (!script) return STATUS_NO_MEMORY;
  script->options = *options;
  world_init(&script->own_world);
  script->world = options->world ? options->world : &script->own_world;
  memory_init(&script->memory, options->memory_limit);
  take_name(script);
  lua_State *state = new_state(script);
  if (state) {
    lua_atpanic(state, panic);
    if (gate_init(&script->gate, state, &script->memory, script->name, options->call_timeout) &&
        gate_run(&script->gate, prepare, script) == GATE_OK) {
      *created = script;
      return STATUS_OK;
    }
    task_free_pool(&script->gate);
    gate_close(&script->gate);
  }
  memory_deinit(&script->memory);
  free(script);
  return STATUS_NO_MEMORY;
}

int64_t script_now(const struct script *script) {
  const struct script_clock *clock = script->options.clock;
  return clock ? (int64_t)llround(clock->monotonic * 1000) : clock_milliseconds();
}

void script_free_generation(struct script *script, struct generation *generation) {
  task_handle_forget_all(generation);
  script->collector.is_dirty = true;
  serve_end(generation);
  generation_unload(script->gate.main, generation);
  free(generation);
}

struct handler *script_handler(struct script *script) {
  return &script->generation->handler;
}

uint64_t script_fingerprint(const struct script *script) { return script->generation->fingerprint; }

const char *script_name(const struct script *script) { return script->name; }

const char *script_listen(const struct script *script) { return script->generation->listen; }

struct span script_example(const struct script *script) {
  return (struct span){script->generation->example, script->generation->example_length};
}

/* ---- settings ------------------------------------------------------------------------------- */

const char script_setting_names[] = "letters, digits and \"_\", and no digit first";

bool script_setting_is_name(struct span name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  for (size_t i = 0; i < name.length; i++) {
    bool is_digit = name.data[i] >= '0' && name.data[i] <= '9';
    bool is_letter = memchr(letters, name.data[i], sizeof letters - 1) != NULL;
    if (!is_letter && (!is_digit || i == 0)) return false;
  }
  return name.length > 0;
}

struct description {
  struct script *script;
  script_setting_visit visit;
  void *context;
};

static int describe_settings(lua_State *state) {
  const struct description *this = lua_touserdata(state, 1);
  lua_rawgeti(state, LUA_REGISTRYINDEX, this->script->generation->roots);
  lua_rawgeti(state, -1, ROOT_PROTOCOL);
  settings_describe(state, lua_gettop(state), &this->script->options, this->visit, this->context);
  return 0;
}

bool script_each_setting(struct script *script, script_setting_visit visit, void *context) {
  struct description description = {script, visit, context};
  return gate_run(&script->gate, describe_settings, &description) == GATE_OK;
}

/* --------------------------------------------------------------------------------------------- */

struct script_asked script_asked(const struct script *script) {
  return script->asked;
}

static size_t count_left(const struct generation *generation) {
  size_t count = 0;
  for (const struct task_handle *one = generation->first_task; one; one = one->next)
    if (!one->is_background) count++;
  return count;
}

size_t script_count_left_tasks(const struct script *script) {
  return script->generation ? count_left(script->generation) : 0;
}

size_t script_count_left_streams(const struct script *script, const char **address) {
  size_t count = 0;
  *address = NULL;
  for (const struct stream *stream = script->streams; stream; stream = stream->next) {
    if (!stream->is_detached || stream->is_closed) continue;
    if (count++ == 0) *address = stream->address;
  }
  return count;
}

size_t script_unread(const struct script *script, const struct channel *channel) {
  for (const struct stream *stream = script->streams; stream; stream = stream->next)
    if (stream->channel == channel && !stream->is_closed) return buffer_bytes(stream->input).length;
  return 0;
}

void script_drop_kept(struct script *script) { kept_free_all(script); }

void script_end_tasks(struct script *script) { task_handle_end_all(script); }

void script_destroy(struct script *script) {
  script_end_tasks(script);
  if (script->generation) script_free_generation(script, script->generation);
  script->generation = NULL;
  task_free_pool(&script->gate);
  gate_close(&script->gate);
  stream_free_all(script);
  datagrams_free_all(script);
  subprocess_free_all(script);
  kept_free_all(script);
  world_deinit(&script->own_world);
  subscriptions_deinit(&script->subscriptions);
  memory_deinit(&script->memory);
  free(script);
}
