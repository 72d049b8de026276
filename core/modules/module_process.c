#include "modules/module_process.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/subprocess_value.h"
#include "script/script_internal.h"
#include "script/task.h"

/* The stack of spawn(). WORDS is a list of texts: the arguments, the environment, the folder. */
enum { ARGUMENTS = 1, OPTIONS, WORDS, CHILD };

static const double longest = 1e9; /* Seconds. */

/* What the options say. */
struct request {
  struct process_plan plan; /* Without its texts. */
  int64_t timeout;          /* ms; 0: none. */
  bool has_errors;          /* child.stderr is a stream. */
  bool has_environment;
  bool has_folder;
  lua_Integer argument_count;
  lua_Integer environment_count;
};

/* ---- what is asked for --------------------------------------------------------------------- */

/* Appends the text on the top to the list of words, and pops it. */
static void add_word(lua_State *state) {
  lua_rawseti(state, WORDS, (lua_Integer)lua_rawlen(state, WORDS) + 1);
}

/* Returns the value on the top as a text without zero bytes; numbers are made texts. Raises for
 * everything else. */
static const char *check_word(lua_State *state, int argument, const char *what) {
  size_t length;
  const char *text = lua_tolstring(state, -1, &length);
  if (!text || strlen(text) != length)
    luaL_argerror(state, argument,
                  lua_pushfstring(state, "%s must be a string without zero bytes", what));
  return text;
}

static void take_arguments(lua_State *state, struct request *request) {
  luaL_checktype(state, ARGUMENTS, LUA_TTABLE);
  lua_Integer count = (lua_Integer)lua_rawlen(state, ARGUMENTS);
  luaL_argcheck(state, count > 0, ARGUMENTS, "the program is missing");
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(state, ARGUMENTS, i);
    const char *word = check_word(state, ARGUMENTS, i == 1 ? "the program" : "an argument");
    if (i == 1 && !*word) luaL_argerror(state, ARGUMENTS, "the program is missing");
    add_word(state);
  }
  request->argument_count = count;
}

/* The table on the top is the environment, and stays. */
static void take_environment(lua_State *state, struct request *request) {
  int table = lua_gettop(state);
  luaL_argcheck(state, lua_istable(state, table), OPTIONS, "env must be a table of strings");
  lua_pushnil(state);
  while (lua_next(state, table)) {
    const char *name = lua_type(state, -2) == LUA_TSTRING ? lua_tostring(state, -2) : "";
    luaL_argcheck(state, *name && strlen(name) == lua_rawlen(state, -2) && !strchr(name, '='),
                  OPTIONS, "a name in env must be a string without \"=\" and zero bytes");
    const char *value = check_word(state, OPTIONS, "a value in env");
    lua_pushfstring(state, "%s=%s", name, value);
    add_word(state);
    lua_pop(state, 1);
    request->environment_count++;
  }
  request->has_environment = true;
}

static int64_t check_limit(lua_State *state, lua_Integer least, const char *complaint) {
  int is_integer;
  lua_Integer value = lua_tointegerx(state, -1, &is_integer);
  luaL_argcheck(state, is_integer && value >= least, OPTIONS, complaint);
  return value;
}

/* The value on the top is the table of limits, and stays. */
static void take_limits(lua_State *state, struct process_plan *plan) {
  int table = lua_gettop(state);
  luaL_argcheck(state, lua_istable(state, table), OPTIONS, "limits must be a table");
  lua_pushnil(state);
  for (; lua_next(state, table); lua_pop(state, 1)) {
    const char *name = lua_type(state, -2) == LUA_TSTRING ? lua_tostring(state, -2) : "";
    if (strcmp(name, "cpu") == 0) {
      double seconds = lua_isnumber(state, -1) ? lua_tonumber(state, -1) : -1;
      luaL_argcheck(state, seconds > 0 && seconds <= longest, OPTIONS,
                    "limits.cpu must be a number of seconds from 0 to 1e9, and not 0");
      plan->cpu = (int64_t)ceil(seconds);
    } else if (strcmp(name, "memory") == 0)
      plan->memory = check_limit(state, 1, "limits.memory must be a number of bytes");
    else if (strcmp(name, "files") == 0)
      plan->files = check_limit(state, 3, "limits.files must be a number of files, at least 3");
    else
      luaL_error(state, "process.spawn has no limit %s", luaL_tolstring(state, -2, NULL));
  }
}

static void take_errors(lua_State *state, struct request *request) {
  const char *where = lua_type(state, -1) == LUA_TSTRING ? lua_tostring(state, -1) : "";
  request->has_errors = strcmp(where, "pipe") == 0;
  request->plan.joins_errors = strcmp(where, "stdout") == 0;
  luaL_argcheck(state,
                request->has_errors || request->plan.joins_errors || strcmp(where, "log") == 0,
                OPTIONS, "stderr must be \"log\", \"pipe\" or \"stdout\"");
}

/* The name and the value of an option are on the top, and stay. The environment and the folder are
 * taken later, because their words have a place. */
static void take_option(lua_State *state, struct request *request) {
  const char *name = lua_type(state, -2) == LUA_TSTRING ? lua_tostring(state, -2) : "";
  if (strcmp(name, "stdin") == 0) {
    luaL_argcheck(state, lua_isboolean(state, -1), OPTIONS, "stdin must be true or false");
    request->plan.has_input = lua_toboolean(state, -1);
  } else if (strcmp(name, "stderr") == 0) {
    take_errors(state, request);
  } else if (strcmp(name, "timeout") == 0) {
    double seconds = lua_isnumber(state, -1) ? lua_tonumber(state, -1) : -1;
    luaL_argcheck(state, seconds >= 0 && seconds <= longest, OPTIONS,
                  "timeout must be a number of seconds from 0 to 1e9");
    request->timeout = (int64_t)ceil(seconds * 1000);
  } else if (strcmp(name, "limits") == 0) {
    take_limits(state, &request->plan);
  } else if (strcmp(name, "env") != 0 && strcmp(name, "cwd") != 0)
    luaL_error(state, "process.spawn has no option %s", luaL_tolstring(state, -2, NULL));
}

static void take_options(lua_State *state, struct request *request) {
  if (lua_isnil(state, OPTIONS)) return;
  luaL_checktype(state, OPTIONS, LUA_TTABLE);
  lua_pushnil(state);
  for (; lua_next(state, OPTIONS); lua_pop(state, 1)) take_option(state, request);
  lua_pushliteral(state, "env");
  if (lua_rawget(state, OPTIONS) != LUA_TNIL) take_environment(state, request);
  lua_pushliteral(state, "cwd");
  if (lua_rawget(state, OPTIONS) != LUA_TNIL) {
    check_word(state, OPTIONS, "cwd");
    add_word(state);
    request->has_folder = true;
  }
  lua_settop(state, WORDS);
}

/* ---- the plan ------------------------------------------------------------------------------ */

/* Copies the words, and sets the pointers of the plan. Allocates nothing in Lua. */
static enum status make_plan(lua_State *state, struct subprocess *child,
                             const struct request *request) {
  lua_Integer count = (lua_Integer)lua_rawlen(state, WORDS);
  size_t pointers = ((size_t)count + 2) * sizeof(char *), size = pointers;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(state, WORDS, i);
    size += lua_rawlen(state, -1) + 1;
    lua_pop(state, 1);
  }
  child->words = malloc(size);
  if (!child->words) return STATUS_NO_MEMORY;
  char **word = child->words, *text = (char *)child->words + pointers;
  child->plan = request->plan;
  child->plan.arguments = word;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(state, WORDS, i);
    size_t length = lua_rawlen(state, -1) + 1;
    *word = memcpy(text, lua_tostring(state, -1), length);
    if (i == count && request->has_folder) child->plan.folder = *word;
    word++;
    text += length;
    lua_pop(state, 1);
    if (i == request->argument_count) *word++ = NULL;
    if (i == request->argument_count + request->environment_count) *word++ = NULL;
  }
  if (request->has_environment)
    child->plan.environment = child->words + request->argument_count + 1;
  return STATUS_OK;
}

/* ---- spawn --------------------------------------------------------------------------------- */

static void undo_spawn(struct task *task) {
  struct subprocess *child = task->waits_for;
  child->starter = NULL;
  subprocess_close(child, true);
}

/* The value is kept while the program runs: nobody wants it to lose its pipes when nothing refers
 * to the child for a while. */
static int spawn_again(lua_State *state, int status, lua_KContext context) {
  static const char *const codes[] = {[PROCESS_NOT_FOUND] = "not_found",
                                      [PROCESS_DENIED] = "denied",
                                      [PROCESS_BUSY] = "busy",
                                      [PROCESS_FAILED] = "failed"};
  struct subprocess *child = subprocess_value_get(state, CHILD);
  (void)status;
  (void)context;
  child->starter = NULL;
  task_check_cancel(state);
  if (child->error != PROCESS_OK) {
    subprocess_close(child, true);
    lua_pushnil(state);
    lua_pushstring(state, child->why);
    lua_pushstring(state, codes[child->error]);
    return 3;
  }
  lua_settop(state, CHILD);
  lua_pushvalue(state, CHILD);
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  if (child->has_ended || child->is_closed)
    luaL_unref(state, LUA_REGISTRYINDEX, reference);
  else
    child->reference = reference;
  return 1;
}

/* A program does not keep to simulated time: no simulation has processes, whatever it permits. */
static void check_processes(lua_State *state, const struct script *script) {
  if (script->world->processes) return;
  lua_rawgeti(state, WORDS, 1);
  luaL_error(state, "process.spawn would run %s: a simulation runs no programs",
             lua_tostring(state, -1));
}

static void set_timer(lua_State *state, struct subprocess *child, int64_t timeout) {
  struct script *script = child->script;
  if (timeout == 0) return;
  if (timer_set(&script->world->timers, &child->timer, script_now(script) + timeout) != STATUS_OK)
    gate_raise_no_memory(state);
}

static void take_name(lua_State *state, struct subprocess *child) {
  lua_rawgeti(state, WORDS, 1);
  const char *program = lua_tostring(state, -1), *slash = strrchr(program, '/');
  snprintf(child->name, sizeof child->name, "%s", slash && slash[1] ? slash + 1 : program);
  lua_pop(state, 1);
}

/* process.spawn(argv, options). The value and all else that takes memory is there before anything
 * is begun. */
static int process_spawn(lua_State *state) {
  struct script *script = script_of_state(state);
  struct request request = {.plan = {.cpu = PROCESS_NO_LIMIT,
                                     .memory = PROCESS_NO_LIMIT,
                                     .files = PROCESS_NO_LIMIT,
                                     .has_input = true}};
  lua_settop(state, OPTIONS);
  lua_newtable(state);
  take_arguments(state, &request);
  take_options(state, &request);
  check_processes(state, script);
  struct subprocess *child = subprocess_value_push(state, script);
  take_name(state, child);
  if (request.plan.has_input) subprocess_value_add_stream(state, CHILD, SUBPROCESS_STDIN);
  subprocess_value_add_stream(state, CHILD, SUBPROCESS_STDOUT);
  if (request.has_errors) subprocess_value_add_stream(state, CHILD, SUBPROCESS_STDERR);
  struct task *task = task_begin_wait(state, "process.spawn");
  if (!task) return 3;
  if (make_plan(state, child, &request) != STATUS_OK) return gate_raise_no_memory(state);
  set_timer(state, child, request.timeout);
  if (subprocess_start(child, task) != STATUS_OK) return gate_raise_no_memory(state);
  task->waits_for = child;
  return task_wait_then(state, task, undo_spawn, spawn_again);
}

int module_process_open(lua_State *state) {
  static const luaL_Reg functions[] = {{"spawn", process_spawn}, {NULL, NULL}};
  subprocess_value_install(state);
  luaL_newlib(state, functions);
  return 1;
}
