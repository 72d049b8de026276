/* spec_base.c: the log, with what it writes to standard error, and the byte queue. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/spelling.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char buffer_class[] = "parlance_spec.buffer";
static const char limit_class[] = "parlance_spec.limit";

static void push_contents(lua_State *L, int file) {
  luaL_Buffer all;
  off_t offset = 0;
  ssize_t got;
  luaL_buffinit(L, &all);
  do {
    char *space = luaL_prepbuffer(&all);
    got = pread(file, space, LUAL_BUFFERSIZE, offset);
    if (got > 0) {
      luaL_addsize(&all, (size_t)got);
      offset += got;
    }
  } while (got > 0);
  luaL_pushresult(&all);
}

/* capture(f): calls f, and returns the bytes written to standard error and the results of f. */
static int capture(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  int file = memfd_create("capture", MFD_CLOEXEC);
  int kept = dup(STDERR_FILENO);
  if (file < 0 || kept < 0 || dup2(file, STDERR_FILENO) < 0) {
    if (file >= 0) close(file);
    if (kept >= 0) close(kept);
    return luaL_error(L, "standard error cannot be redirected");
  }
  int status = lua_pcall(L, 0, LUA_MULTRET, 0);
  dup2(kept, STDERR_FILENO);
  close(kept);
  if (status != LUA_OK) {
    close(file);
    return lua_error(L);
  }
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  push_contents(L, file);
  close(file);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* log_configure(level, format) */
static int configure(lua_State *L) {
  enum log_level level;
  enum log_format format;
  luaL_argcheck(L, log_parse_level(luaL_checkstring(L, 1), &level), 1, "no such level");
  luaL_argcheck(L, log_parse_format(luaL_checkstring(L, 2), &format), 2, "no such format");
  log_configure(level, format);
  return 0;
}

/* A field is { key, value } or { key, value, "hex" }. */
static void add_log_field(lua_State *L, struct log_line *line, int field) {
  size_t length;
  for (int i = 1; i <= 3; i++) lua_rawgeti(L, field, i);
  const char *key = luaL_checkstring(L, -3);
  if (lua_isstring(L, -1)) {
    const char *bytes = luaL_checklstring(L, -2, &length);
    log_hex(line, key, bytes, length);
  } else if (lua_isinteger(L, -2))
    log_integer(line, key, lua_tointeger(L, -2));
  else if (lua_type(L, -2) == LUA_TNUMBER)
    log_number(line, key, lua_tonumber(L, -2));
  else {
    const char *bytes = luaL_checklstring(L, -2, &length);
    log_bytes(line, key, bytes, length);
  }
  lua_pop(L, 3);
}

/* log(level, event, fields, limit, now): whether it was written. */
static int write_line(lua_State *L) {
  enum log_level level;
  struct log_line line;
  luaL_argcheck(L, log_parse_level(luaL_checkstring(L, 1), &level), 1, "no such level");
  const char *event = luaL_checkstring(L, 2);
  lua_settop(L, 5);
  bool is_begun;
  if (lua_isnil(L, 4))
    is_begun = log_begin(&line, level, event);
  else
    is_begun = log_begin_limited(&line, level, event, luaL_checkudata(L, 4, limit_class),
                                 luaL_checkinteger(L, 5));
  lua_pushboolean(L, is_begun);
  if (!is_begun) return 1;
  lua_Integer count = lua_istable(L, 3) ? (lua_Integer)lua_rawlen(L, 3) : 0;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 3, i);
    add_log_field(L, &line, lua_gettop(L));
    lua_pop(L, 1);
  }
  log_end(&line);
  return 1;
}

static int new_limit(lua_State *L) {
  struct log_limit *limit = lua_newuserdatauv(L, sizeof *limit, 0);
  memset(limit, 0, sizeof *limit);
  luaL_newmetatable(L, limit_class);
  lua_setmetatable(L, -2);
  return 1;
}

/* ---- buffer -------------------------------------------------------------------------------- */

static struct buffer **check_buffer(lua_State *L) { return luaL_checkudata(L, 1, buffer_class); }

static int new_buffer(lua_State *L) {
  struct buffer **buffer = lua_newuserdatauv(L, sizeof(struct buffer *), 0);
  *buffer = NULL;
  luaL_setmetatable(L, buffer_class);
  return 1;
}

static int append(lua_State *L) {
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  return spec_outcome(L, buffer_append(check_buffer(L), bytes, length));
}

/* reserve(room): how much room there is, or a failure. */
static int reserve(lua_State *L) {
  struct span space;
  enum status status = buffer_reserve(check_buffer(L), (size_t)luaL_checkinteger(L, 2), &space);
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_pushinteger(L, (lua_Integer)space.length);
  return 1;
}

/* fill(bytes, room): reserves room and writes the bytes into it. */
static int fill(lua_State *L) {
  size_t length;
  struct span space;
  struct buffer **buffer = check_buffer(L);
  const char *bytes = luaL_checklstring(L, 2, &length);
  size_t room = (size_t)luaL_optinteger(L, 3, (lua_Integer)length);
  luaL_argcheck(L, room >= length, 3, "less than the bytes");
  enum status status = buffer_reserve(buffer, room, &space);
  if (status != STATUS_OK) return spec_failure(L, status);
  memcpy((char *)space.data, bytes, length);
  buffer_commit(*buffer, length);
  return spec_outcome(L, STATUS_OK);
}

static int consume(lua_State *L) {
  buffer_consume(check_buffer(L), (size_t)luaL_checkinteger(L, 2));
  return 0;
}

static int contents(lua_State *L) {
  struct span bytes = buffer_bytes(*check_buffer(L));
  lua_pushlstring(L, bytes.length > 0 ? bytes.data : "", bytes.length);
  return 1;
}

/* size(): the bytes of its memory. */
static int size(lua_State *L) {
  const struct buffer *buffer = *check_buffer(L);
  lua_pushinteger(L, buffer ? (lua_Integer)(sizeof *buffer + buffer->capacity) : 0);
  return 1;
}

/* place(): the address of its first byte, which changes when the bytes are moved. */
static int place(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)(intptr_t)buffer_bytes(*check_buffer(L)).data);
  return 1;
}

static int close_buffer(lua_State *L) {
  buffer_free(check_buffer(L));
  return 0;
}

/* ---- spelling ------------------------------------------------------------------------------ */

/* spelling_nearest(name, names) */
static int nearest(lua_State *L) {
  const char *names[20];
  size_t count = 0;
  const char *name = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  while (lua_rawgeti(L, 2, (lua_Integer)count + 1) == LUA_TSTRING) {
    luaL_argcheck(L, count < sizeof names / sizeof *names, 2, "too many");
    names[count++] = lua_tostring(L, -1);
  }
  lua_pushstring(L, spelling_nearest(name, names, count));
  return 1;
}

int spec_open_base(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"capture", capture}, {"log_configure", configure}, {"log", write_line},
      {"limit", new_limit}, {"buffer", new_buffer},       {"spelling_nearest", nearest},
      {NULL, NULL}};
  static const luaL_Reg methods[] = {{"append", append},   {"reserve", reserve},    {"fill", fill},
                                     {"consume", consume}, {"bytes", contents},     {"size", size},
                                     {"place", place},     {"close", close_buffer}, {NULL, NULL}};
  arguments_add_class(L, buffer_class, methods, close_buffer);
  luaL_newlib(L, functions);
  spec_add_timers(L);
  return 1;
}
