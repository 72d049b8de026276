#include "simulator/simulator.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "modules/modules.h"
#include "reload/reload.h"
#include "simulator/arguments.h"
#include "simulator/connections.h"
#include "simulator/disk.h"
#include "simulator/temp.h"

static const char class_name[] = "parlance.simulator.script";

/* ---- the log ------------------------------------------------------------------------------- */

/* The most bytes of the log that are kept until log() is called. Errors may take more, so that a
 * script's many other lines do not displace them. */
enum { LOG_KEPT = 256 * 1024, ERRORS_KEPT = 64 * 1024 };

/* The lines, each a struct logged_line and its bytes. The process has one log, so this is global.
 */
static struct buffer *logged;
static lua_Integer lost; /* How many lines were dropped. */

struct logged_line {
  enum log_level level;
  size_t length;
};

static void keep_line(void *context, enum log_level level, const char *text, size_t length) {
  (void)context;
  struct logged_line line = {level, length};
  size_t most = level == LOG_ERROR ? LOG_KEPT + ERRORS_KEPT : LOG_KEPT;
  struct span space;
  if (buffer_bytes(logged).length + sizeof line + length > most ||
      buffer_reserve(&logged, sizeof line + length, &space) != STATUS_OK) {
    lost++;
    return;
  }
  (void)buffer_append(&logged, (const char *)&line, sizeof line);
  (void)buffer_append(&logged, text, length);
}

/* log() */
static int take_log(lua_State *L) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  lua_newtable(L);
  for (lua_Integer n = 1; logged; n++) {
    struct logged_line line;
    memcpy(&line, buffer_bytes(logged).data, sizeof line);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, names[line.level]);
    lua_setfield(L, -2, "level");
    lua_pushlstring(L, buffer_bytes(logged).data + sizeof line, line.length);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, n);
    buffer_consume(&logged, sizeof line + line.length);
  }
  lua_pushinteger(L, lost);
  lost = 0;
  return 2;
}

/* ---- scripts ------------------------------------------------------------------------------- */

static struct simulation *check(lua_State *L) {
  struct simulation *simulation = luaL_checkudata(L, 1, class_name);
  luaL_argcheck(L, simulation->script != NULL, 1, "the script was closed");
  return simulation;
}

/* Computes each time from `now`, so that many small steps add up exactly. */
static void set_now(struct simulation *simulation, int64_t now) {
  simulation->now = now;
  simulation->clock.monotonic = (double)now / 1000;
  simulation->clock.real = simulation->loaded_at + simulation->clock.monotonic;
}

/* Whether the script may have changed files in its folder since this was last noted. */
static bool has_used_temp(const struct simulation *simulation) {
  return simulation->sandbox.folder && (simulation->allows_effects || simulation->sandbox.is_used);
}

/* Notes the files that the script made while it was loaded: plays do not remove them. */
static void note_temp(struct simulation *simulation) {
  if (has_used_temp(simulation)) temp_note(simulation->sandbox.folder, &simulation->loaded);
  simulation->sandbox.is_used = false;
}

/* begin_play() */
static int begin_play(lua_State *L) {
  struct simulation *simulation = check(L);
  modules_begin_play(simulation->script);
  script_begin_rest(simulation->script);
  if (has_used_temp(simulation)) temp_empty(simulation->sandbox.folder, &simulation->loaded);
  simulation->sandbox.is_used = false;
  simulation->sandbox.names = 0;
  return 0;
}

/* end_play() */
static int end_play(lua_State *L) {
  struct simulation *simulation = check(L);
  script_end_rest(simulation->script);
  (void)connections_settle(simulation);
  return 0;
}

/* load(path, options) */
static int load(lua_State *L) {
  struct script_options options;
  const char *error = "not enough memory";
  arguments_take_table(L, 2);
  arguments_script(L, &options);
  struct simulation *simulation = lua_newuserdatauv(L, sizeof *simulation, 2);
  memset(simulation, 0, sizeof *simulation);
  luaL_setmetatable(L, class_name);
  arguments_keep(L); /* The strings of the options must outlive the script. */
  lua_getfield(L, 2, "time");
  simulation->loaded_at = luaL_optnumber(L, -1, 0);
  lua_pop(L, 1);
  set_now(simulation, 0);
  options.clock = &simulation->clock;
  world_init(&simulation->world);
  upstreams_init(&simulation->upstreams, &simulation->world);
  options.world = &simulation->world;
  simulation->sandbox.folder = arguments_text(L, 2, "temp", NULL);
  if (!arguments_flag(L, 2, "allow_effects")) options.sandbox = &simulation->sandbox;
  simulation->allows_effects = options.sandbox == NULL;
  struct script *script;
  if (script_create(&options, &script) == STATUS_OK) {
    simulation->script = script; /* From here on garbage collection destroys it. */
    if (reload_load_first(script, &error)) {
      (void)connections_settle(simulation);
      note_temp(simulation);
      return 1;
    }
  }
  lua_pushnil(L);
  lua_pushstring(L, error);
  if (simulation->script) script_destroy(simulation->script);
  upstreams_deinit(&simulation->upstreams);
  world_deinit(&simulation->world);
  simulation->script = NULL;
  if (simulation->sandbox.folder) temp_remove(simulation->sandbox.folder);
  return 2;
}

static int open_connection(lua_State *L) { return connections_open(L, check(L)); }

static int send_datagram(lua_State *L) { return connections_datagram(L, check(L)); }

/* reload(is_forced) */
static int reload(lua_State *L) {
  struct simulation *simulation = check(L);
  enum reload_outcome outcome =
      reload_try(simulation->script, lua_toboolean(L, 2), simulation->now);
  if (outcome == RELOAD_DONE) connections_migrate(simulation);
  (void)connections_settle(simulation);
  arguments_push_outcome(L, outcome);
  return 1;
}

/* advance(seconds): goes from deadline to deadline, so that each expires at its time. */
static int advance(lua_State *L) {
  struct simulation *simulation = check(L);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 2, "must be a number of seconds from 0 to 1e9");
  int64_t end = simulation->now + (int64_t)llround(seconds * 1000);
  for (;;) {
    int64_t next = timer_next(&simulation->world.timers);
    if (next > end) break;
    if (next > simulation->now) set_now(simulation, next);
    if (!connections_settle(simulation)) break;
  }
  set_now(simulation, end);
  return 0;
}

/* set_time(seconds) */
static int set_time(lua_State *L) {
  struct simulation *simulation = check(L);
  simulation->loaded_at = luaL_checknumber(L, 2) - simulation->clock.monotonic;
  set_now(simulation, simulation->now);
  return 0;
}

/* Pushes the seconds to this time; nothing if it is CLOCK_NEVER. */
static int push_left(lua_State *L, const struct simulation *simulation, int64_t when) {
  if (when == CLOCK_NEVER) return 0;
  lua_pushnumber(L, when > simulation->now ? (double)(when - simulation->now) / 1000 : 0);
  return 1;
}

/* deadline() */
static int deadline(lua_State *L) {
  const struct simulation *simulation = check(L);
  return push_left(L, simulation, timer_next(&simulation->world.timers));
}

/* task_deadline() */
static int task_deadline(lua_State *L) {
  const struct simulation *simulation = check(L);
  return push_left(L, simulation, connections_task_deadline(simulation));
}

/* response_timeout() */
static int response_timeout(lua_State *L) {
  const struct simulation *simulation = check(L);
  int64_t limit = script_handler(simulation->script)->limits.response_timeout;
  lua_pushnumber(L, (double)limit / 1000);
  return 1;
}

static int now(lua_State *L) {
  lua_pushnumber(L, check(L)->clock.monotonic);
  return 1;
}

static int asked(lua_State *L) {
  struct script_asked counts = script_asked(check(L)->script);
  lua_pushinteger(L, (lua_Integer)counts.calls);
  lua_pushinteger(L, (lua_Integer)counts.bytes);
  return 2;
}

static int memory(lua_State *L) {
  struct simulation *simulation = check(L);
  lua_pushinteger(L, (lua_Integer)script_memory(simulation->script, lua_toboolean(L, 2)));
  return 1;
}

static int name(lua_State *L) {
  lua_pushstring(L, script_name(check(L)->script));
  return 1;
}

static int listen_address(lua_State *L) {
  lua_pushstring(L, script_listen(check(L)->script));
  return 1;
}

static int example(lua_State *L) {
  struct span bytes = script_example(check(L)->script);
  lua_pushlstring(L, bytes.data, bytes.length);
  return 1;
}

static int fingerprint(lua_State *L) {
  char text[2 * sizeof(uint64_t) + 1];
  snprintf(text, sizeof text, "%016" PRIx64, script_fingerprint(check(L)->script));
  lua_pushstring(L, text);
  return 1;
}

static int files(lua_State *L) {
  arguments_push_files(L, check(L)->script);
  return 1;
}

static int close_simulation(lua_State *L) {
  struct simulation *simulation = luaL_checkudata(L, 1, class_name);
  if (!simulation->script) return 0;
  connections_close(simulation);
  script_destroy(simulation->script);
  upstreams_deinit(&simulation->upstreams);
  world_deinit(&simulation->world);
  simulation->script = NULL;
  temp_forget(&simulation->loaded);
  if (simulation->sandbox.folder) temp_remove(simulation->sandbox.folder);
  return 0;
}

/* ---- upstreams ----------------------------------------------------------------------------- */

/* play_upstreams(parties, refused, keeps, distrusted) */
static int play_upstreams(lua_State *L) {
  struct simulation *simulation = check(L);
  if (!lua_toboolean(L, 4)) script_drop_kept(simulation->script);
  int count = upstreams_play(L, &simulation->upstreams);
  (void)connections_settle(simulation);
  return count;
}

static int accept_upstream(lua_State *L) { return upstreams_accept(L, &check(L)->upstreams); }

static int state_of_upstream(lua_State *L) { return upstreams_state(L, &check(L)->upstreams); }

static int wants_tls_of_upstream(lua_State *L) {
  return upstreams_wants_tls(L, &check(L)->upstreams);
}

static int refuse_upstreams(lua_State *L) {
  check(L)->upstreams.refuses = true;
  return 0;
}

/* upstream_unread(n) */
static int unread_of_upstream(lua_State *L) {
  struct simulation *simulation = check(L);
  const struct channel *channel = upstreams_channel(L, &simulation->upstreams);
  lua_pushinteger(L, (lua_Integer)script_unread(simulation->script, channel));
  return 1;
}

static int left_tasks(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)script_count_left_tasks(check(L)->script));
  return 1;
}

static int left_streams(lua_State *L) {
  const char *address;
  lua_pushinteger(L, (lua_Integer)script_count_left_streams(check(L)->script, &address));
  lua_pushstring(L, address);
  return 2;
}

/* Calls the function, and lets what it causes happen. */
static int act(lua_State *L, int (*function)(lua_State *L, struct upstreams *upstreams)) {
  struct simulation *simulation = check(L);
  int count = function(L, &simulation->upstreams);
  (void)connections_settle(simulation);
  return count;
}

static int take_from_upstream(lua_State *L) { return act(L, upstreams_take); }
static int send_from_upstream(lua_State *L) { return act(L, upstreams_send); }
static int end_upstream(lua_State *L) { return act(L, upstreams_end); }
static int reset_upstream(lua_State *L) { return act(L, upstreams_reset); }
static int begin_tls_of_upstream(lua_State *L) { return act(L, upstreams_begin_tls); }

/* ---- the module ---------------------------------------------------------------------------- */

/* clock() */
static int tell_clock(lua_State *L) {
  lua_pushnumber(L, clock_seconds());
  return 1;
}

/* setenv(name, value) */
static int set_variable(lua_State *L) {
  const char *variable = luaL_checkstring(L, 1);
  int failed =
      lua_isnoneornil(L, 2) ? unsetenv(variable) : setenv(variable, luaL_checkstring(L, 2), 1);
  luaL_argcheck(L, failed == 0, 1, "is no name of a variable");
  tzset(); /* The variable may be TZ. */
  return 0;
}

/* A descriptor of the real standard output while it is silenced, else -1. */
static int silenced = -1;

/* silence(is_silent) */
static int silence(lua_State *L) {
  bool is_silent = lua_toboolean(L, 1);
  if (is_silent == (silenced >= 0)) return 0;
  fflush(stdout);
  if (is_silent) {
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    silenced = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    if (nowhere >= 0) dup2(nowhere, STDOUT_FILENO);
    if (nowhere >= 0) close(nowhere);
  } else {
    dup2(silenced, STDOUT_FILENO);
    close(silenced);
    silenced = -1;
  }
  return 0;
}

int luaopen_parlance_simulator(lua_State *L) {
  static const luaL_Reg functions[] = {{"load", load},           {"silence", silence},
                                       {"log", take_log},        {"list", disk_list},
                                       {"clock", tell_clock},    {"setenv", set_variable},
                                       {"make_temp", temp_make}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"open", open_connection},
                                     {"datagram", send_datagram},
                                     {"reload", reload},
                                     {"advance", advance},
                                     {"set_time", set_time},
                                     {"deadline", deadline},
                                     {"task_deadline", task_deadline},
                                     {"response_timeout", response_timeout},
                                     {"now", now},
                                     {"asked", asked},
                                     {"memory", memory},
                                     {"name", name},
                                     {"files", files},
                                     {"listen", listen_address},
                                     {"example", example},
                                     {"fingerprint", fingerprint},
                                     {"begin_play", begin_play},
                                     {"end_play", end_play},
                                     {"play_upstreams", play_upstreams},
                                     {"accept", accept_upstream},
                                     {"upstream_take", take_from_upstream},
                                     {"upstream_send", send_from_upstream},
                                     {"upstream_end", end_upstream},
                                     {"upstream_reset", reset_upstream},
                                     {"upstream_state", state_of_upstream},
                                     {"upstream_wants_tls", wants_tls_of_upstream},
                                     {"upstream_begin_tls", begin_tls_of_upstream},
                                     {"refuse_upstreams", refuse_upstreams},
                                     {"left_tasks", left_tasks},
                                     {"left_streams", left_streams},
                                     {"upstream_unread", unread_of_upstream},
                                     {"close", close_simulation},
                                     {NULL, NULL}};
  arguments_add_class(L, class_name, methods, close_simulation);
  connections_register(L);
  log_configure(LOG_INFO, LOG_TEXT);
  log_divert(keep_line, NULL);
  luaL_newlib(L, functions);
  return 1;
}
