#include "simulator/program.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "reload/searcher.h"
#include "simulator/disk.h"
#include "simulator/simulator.h"
#include "simulator/temp.h"

/* The process keeps up to so many free bytes: plays allocate and free the same memory again and
 * again. */
enum { MEMORY_KEPT = 64 * 1024 * 1024 };

/* write(text): the upvalue is a descriptor of the real standard output. */
static int write_text(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  int fd = (int)lua_tointeger(L, lua_upvalueindex(1));
  int error = disk_write(fd, text, length);
  if (error != 0) return luaL_error(L, "cannot write: %s", strerror(error));
  return 0;
}

/* is_address(text): the upvalue is the program. */
static int is_address(lua_State *L) {
  const struct program *program = lua_touserdata(L, lua_upvalueindex(1));
  const char *why = "";
  lua_pushboolean(L, program->is_address(luaL_checkstring(L, 1), &why));
  lua_pushstring(L, why);
  return 2;
}

static void set_limit(lua_State *L, const char *name, int64_t value) {
  if (value == LIMIT_NOT_GIVEN) return;
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void push_options(lua_State *L, const struct script_options *options) {
  lua_newtable(L);
  lua_pushstring(L, options->modules);
  lua_setfield(L, -2, "modules");
  set_limit(L, "memory_limit", (int64_t)options->memory_limit);
  set_limit(L, "call_timeout", options->call_timeout);
  set_limit(L, "max_request", options->max_request);
  set_limit(L, "max_tasks", options->max_tasks);
  set_limit(L, "request_timeout", options->request_timeout);
  set_limit(L, "idle_timeout", options->idle_timeout);
  set_limit(L, "write_timeout", options->write_timeout);
  set_limit(L, "response_timeout", options->response_timeout);
  lua_newtable(L);
  for (size_t i = 0; i < options->setting_count; i++) {
    const struct script_setting *setting = &options->settings[i];
    lua_pushlstring(L, setting->name.data, setting->name.length);
    lua_pushlstring(L, setting->value.data, setting->value.length);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, "settings");
}

static void push_script(lua_State *L, const struct program_script *script) {
  lua_newtable(L);
  lua_pushstring(L, script->options->path);
  lua_setfield(L, -2, "path");
  push_options(L, script->options);
  lua_setfield(L, -2, "options");
  lua_newtable(L);
  for (size_t i = 0; i < script->transcript_count; i++) {
    lua_pushstring(L, script->transcripts[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "transcripts");
}

static void push_arguments(lua_State *L, const struct program *program, int fd) {
  lua_newtable(L);
  lua_newtable(L);
  for (size_t i = 0; i < program->script_count; i++) {
    push_script(L, &program->scripts[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "scripts");
  lua_newtable(L);
  for (size_t i = 0; i < program->option_count; i++) {
    lua_pushstring(L, program->options[i].value);
    lua_setfield(L, -2, program->options[i].name);
  }
  lua_setfield(L, -2, "options");
  lua_pushlightuserdata(L, (void *)program);
  lua_pushcclosure(L, is_address, 1);
  lua_setfield(L, -2, "is_address");
  lua_pushinteger(L, fd);
  lua_pushcclosure(L, write_text, 1);
  lua_setfield(L, -2, "write");
  disk_push(L);
  lua_setfield(L, -2, "disk");
}

/* The argument of run(). */
struct run {
  const struct program *program;
  int fd; /* A descriptor of the real standard output. */
};

static int run(lua_State *L) {
  const struct run *this = lua_touserdata(L, 1);
  luaL_openlibs(L);
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "path");
  searcher_add(L, -1, this->program->modules);
  luaL_getsubtable(L, -1, "preload");
  lua_pushcfunction(L, luaopen_parlance_simulator);
  lua_setfield(L, -2, "parlance.simulator");
  lua_getglobal(L, "require");
  lua_pushfstring(L, "parlance.workbench.%s", this->program->name);
  lua_call(L, 1, 1);
  push_arguments(L, this->program, this->fd);
  lua_call(L, 1, 1);
  return 1;
}

static int add_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

int program_run(const struct program *program) {
  mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
  mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT);
  temp_keep_clean();
  setenv("TZ", "UTC0", 1); /* Times of the calendar do not depend on the machine. */
  tzset();
  struct run this = {.program = program, .fd = dup(STDOUT_FILENO)};
  int status = program->failed;
  if (!program->modules) {
    fputs("parlance: the modules that come with the server are not there\n", stderr);
    return program->failed;
  }
  if (this.fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    fprintf(stderr, "parlance: standard output: %s\n", strerror(errno));
    return program->failed;
  }
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("parlance: not enough memory\n", stderr);
    return program->failed;
  }
  lua_pushcfunction(L, add_traceback);
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, &this);
  if (lua_pcall(L, 1, 1, 1) == LUA_OK)
    status = (int)lua_tointeger(L, -1);
  else
    fprintf(stderr, "parlance: %s\n", lua_tostring(L, -1));
  lua_close(L);
  temp_end();
  fflush(stdout);
  dup2(this.fd, STDOUT_FILENO);
  close(this.fd);
  return status;
}
