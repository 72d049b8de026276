#include "stage/stage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "script/script.h"
#include "stage/arguments.h"
#include "stage/dialogue.h"
#include "stage/disk.h"
#include "stage/temp.h"

static const char class_name[] = "parlance.stage.script";

/* ---- the log ------------------------------------------------------------------------------- */

/* What is kept of the log until log() is called, in bytes; and of errors beyond that, which are not
 * to be lost among what a script says. */
enum { LOG_KEPT = 256 * 1024, ERRORS_KEPT = 64 * 1024 };

/* One for the process, as the log is: each line as its level, its length and its bytes. */
static struct buffer *logged;
static lua_Integer lost; /* the lines that there was no room for */

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

/* log(): and how many lines it does not have. */
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

static struct stage *check(lua_State *L) {
  struct stage *stage = luaL_checkudata(L, 1, class_name);
  luaL_argcheck(L, stage->script != NULL, 1, "the script was closed");
  return stage;
}

/* Each time is made from the whole, so that many steps add up to what one makes. */
static void set_now(struct stage *stage, int64_t now) {
  stage->now = now;
  stage->clock.monotonic = (double)now / 1000;
  stage->clock.real = stage->began + stage->clock.monotonic;
}

/* Whether there may be something in the script's folder that was not there before. */
static bool has_used_temp(const struct stage *stage) {
  return stage->sandbox.folder && (stage->is_free || stage->sandbox.is_used);
}

/* What the script has made while it was loaded stays. */
static void note_temp(struct stage *stage) {
  if (has_used_temp(stage)) temp_note(stage->sandbox.folder, &stage->loaded);
  stage->sandbox.is_used = false;
}

/* begin_play() */
static int begin_play(lua_State *L) {
  struct stage *stage = check(L);
  script_begin_play(stage->script);
  if (has_used_temp(stage)) temp_empty(stage->sandbox.folder, &stage->loaded);
  stage->sandbox.is_used = false;
  stage->sandbox.names = 0;
  return 0;
}

/* load(path, options) */
static int load(lua_State *L) {
  struct script_options options;
  const char *error = "not enough memory";
  arguments_take_table(L, 2);
  arguments_script(L, &options);
  struct stage *stage = lua_newuserdatauv(L, sizeof *stage, 2);
  memset(stage, 0, sizeof *stage);
  luaL_setmetatable(L, class_name);
  arguments_keep(L); /* the options' texts must outlive the script */
  lua_getfield(L, 2, "time");
  stage->began = luaL_optnumber(L, -1, 0);
  lua_pop(L, 1);
  set_now(stage, 0);
  options.clock = &stage->clock;
  stage->sandbox.folder = arguments_text(L, 2, "temp", NULL);
  if (!arguments_flag(L, 2, "allow_effects")) options.sandbox = &stage->sandbox;
  stage->is_free = options.sandbox == NULL;
  struct script *script;
  if (script_create(&options, &script) == STATUS_OK) {
    stage->script = script; /* from here on it is collected with the stage, whatever raises */
    if (script_load(script, &error)) {
      note_temp(stage);
      return 1;
    }
  }
  lua_pushnil(L);
  lua_pushstring(L, error);
  if (stage->script) script_destroy(stage->script);
  stage->script = NULL;
  if (stage->sandbox.folder) temp_remove(stage->sandbox.folder);
  return 2;
}

static int open_dialogue(lua_State *L) { return dialogue_open(L, check(L)); }

/* reload(is_forced) */
static int reload(lua_State *L) {
  struct stage *stage = check(L);
  enum script_reload outcome = script_reload(stage->script, lua_toboolean(L, 2), stage->now);
  if (outcome == SCRIPT_RELOADED) dialogue_move_all(stage);
  arguments_push_outcome(L, outcome);
  return 1;
}

static int64_t earlier(int64_t one, int64_t other) { return one < other ? one : other; }

/* What is due now: the tasks of the script, then the limits of time. */
static void let_happen(struct stage *stage) {
  while (script_next_due(stage->script) <= stage->now) script_run_due(stage->script, stage->now);
  dialogue_expire_all(stage);
}

/* advance(seconds): in steps from deadline to deadline, so that what happens at one of them happens
 * at its time. A limit of time that does not run out holds up nothing. */
static int advance(lua_State *L) {
  struct stage *stage = check(L);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 2, "must be a number of seconds from 0 to 1e9");
  int64_t end = stage->now + (int64_t)llround(seconds * 1000);
  bool is_stuck = false;
  for (;;) {
    int64_t limit = is_stuck ? CLOCK_NEVER : dialogue_next_deadline(stage), before = stage->now;
    int64_t next = earlier(limit, script_next_due(stage->script));
    if (next > end) break;
    if (next > before) set_now(stage, next);
    let_happen(stage);
    is_stuck = stage->now == before && dialogue_next_deadline(stage) <= before;
  }
  set_now(stage, end);
  return 0;
}

/* set_time(seconds): what os.time() tells from now on. */
static int set_time(lua_State *L) {
  struct stage *stage = check(L);
  stage->began = luaL_checknumber(L, 2) - stage->clock.monotonic;
  set_now(stage, stage->now);
  return 0;
}

/* deadline() */
static int deadline(lua_State *L) {
  const struct stage *stage = check(L);
  int64_t next = earlier(dialogue_next_deadline(stage), script_next_due(stage->script));
  if (next == CLOCK_NEVER) return 0;
  lua_pushnumber(L, next > stage->now ? (double)(next - stage->now) / 1000 : 0);
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
  struct stage *stage = check(L);
  lua_pushinteger(L, (lua_Integer)script_memory(stage->script, lua_toboolean(L, 2)));
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

static int close_stage(lua_State *L) {
  struct stage *stage = luaL_checkudata(L, 1, class_name);
  if (!stage->script) return 0;
  dialogue_close_all(stage);
  script_destroy(stage->script);
  stage->script = NULL;
  temp_forget(&stage->loaded);
  if (stage->sandbox.folder) temp_remove(stage->sandbox.folder);
  return 0;
}

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
  return 0;
}

/* What standard output was before it was silenced; -1: it is not. */
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

int luaopen_parlance_stage(lua_State *L) {
  static const luaL_Reg functions[] = {{"load", load},           {"silence", silence},
                                       {"log", take_log},        {"list", disk_list},
                                       {"clock", tell_clock},    {"setenv", set_variable},
                                       {"make_temp", temp_make}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"open", open_dialogue},
                                     {"reload", reload},
                                     {"advance", advance},
                                     {"set_time", set_time},
                                     {"deadline", deadline},
                                     {"now", now},
                                     {"asked", asked},
                                     {"memory", memory},
                                     {"name", name},
                                     {"files", files},
                                     {"listen", listen_address},
                                     {"example", example},
                                     {"fingerprint", fingerprint},
                                     {"begin_play", begin_play},
                                     {"close", close_stage},
                                     {NULL, NULL}};
  arguments_add_class(L, class_name, methods, close_stage);
  dialogue_register(L);
  log_configure(LOG_INFO, LOG_TEXT);
  log_divert(keep_line, NULL);
  luaL_newlib(L, functions);
  return 1;
}
