#include "script/file_value.h"

#include <errno.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

#include "script/replaced.h"

/* The registry's key of the metatable of files: it is found faster than by a name. */
static const char file_key;

int file_value_close_stream(lua_State *state) {
  luaL_Stream *stream = luaL_checkudata(state, 1, LUA_FILEHANDLE);
  return luaL_fileresult(state, fclose(stream->f) == 0, NULL);
}

/* Gives the file at index; NULL if the value is no file, or has become a stream. */
static struct file_value *file_at(lua_State *state, int index) {
  struct file_value *file = lua_touserdata(state, index);
  if (file == NULL || !lua_getmetatable(state, index)) return NULL;
  lua_rawgetp(state, LUA_REGISTRYINDEX, &file_key);
  bool is_file = lua_rawequal(state, -1, -2);
  lua_pop(state, 2);
  return is_file ? file : NULL;
}

static struct file_value *check_file(lua_State *state) {
  struct file_value *file = file_at(state, 1);
  luaL_argexpected(state, file, 1, "file");
  return file;
}

void file_value_make_stream(lua_State *state, int index) {
  struct file_value *file = file_at(state, index);
  if (file == NULL) return;
  FILE *stream = file->fd >= 0 ? fdopen(file->fd, "rb") : NULL;
  if (file->fd >= 0 && stream == NULL)
    luaL_error(state, "a file cannot be used: %s", strerror(errno));
  file->fd = -1;
  file->stream.f = stream;
  file->stream.closef = stream != NULL ? file_value_close_stream : NULL;
  lua_pushvalue(state, index);
  luaL_setmetatable(state, LUA_FILEHANDLE);
  lua_pop(state, 1);
}

struct file_value *file_value_test(lua_State *state, int index) {
  struct file_value *file = file_at(state, index);
  return file != NULL && file->fd >= 0 ? file : NULL;
}

int file_value_take(struct file_value *file) {
  int fd = file->fd;
  file->fd = -1;
  return fd;
}

/* file[key]: any use of a file makes a stream of it. */
static int index_file(lua_State *state) {
  check_file(state);
  file_value_make_stream(state, 1);
  lua_gettable(state, 1);
  return 1;
}

static int file_to_string(lua_State *state) {
  check_file(state);
  file_value_make_stream(state, 1);
  luaL_tolstring(state, 1, NULL);
  return 1;
}

static int close_file(lua_State *state) {
  struct file_value *file = check_file(state);
  if (file->fd >= 0) close(file_value_take(file));
  return 0;
}

/* ---- the functions of the io library ---------------------------------------------------- */

/* io.type(value) */
static int type_of_value(lua_State *state) {
  luaL_checkany(state, 1);
  const struct file_value *file = file_at(state, 1);
  if (file == NULL) return replaced_call(state);
  lua_pushstring(state, file->fd >= 0 ? "file" : "closed file");
  return 1;
}

/* io.close(file), io.input(file), io.output(file) */
static int use_as_stream(lua_State *state) {
  file_value_make_stream(state, 1);
  return replaced_call(state);
}

/* Replaces functions of the io library by functions that know such files. */
static void replace_in_io(lua_State *state) {
  static const luaL_Reg functions[] = {{"type", type_of_value},
                                       {"close", use_as_stream},
                                       {"input", use_as_stream},
                                       {"output", use_as_stream},
                                       {NULL, NULL}};
  lua_getglobal(state, LUA_IOLIBNAME);
  for (const luaL_Reg *each = functions; each->name != NULL; each++)
    replaced_install(state, each->name, each->func, 0);
  lua_pop(state, 1);
}

/* ---- the class ----------------------------------------------------------------------------- */

struct file_value *file_value_push(lua_State *state) {
  struct file_value *file = lua_newuserdatauv(state, sizeof *file, 0);
  *file = (struct file_value){.fd = -1};
  lua_rawgetp(state, LUA_REGISTRYINDEX, &file_key);
  lua_setmetatable(state, -2);
  return file;
}

void file_value_open(lua_State *state) {
  static const luaL_Reg methods[] = {{"__index", index_file},
                                     {"__tostring", file_to_string},
                                     {"__gc", close_file},
                                     {"__close", close_file},
                                     {NULL, NULL}};
  luaL_newlib(state, methods);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &file_key);
  replace_in_io(state);
}

/* ---- use ----------------------------------------------------------------------------------- */

/* The registry's key of true, once the script is going to open files. */
static const char use_key;

void file_value_note_use(lua_State *state) {
  lua_pushboolean(state, true);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &use_key);
}

bool file_value_is_used(lua_State *state) {
  bool is_used = lua_rawgetp(state, LUA_REGISTRYINDEX, &use_key) != LUA_TNIL;
  lua_pop(state, 1);
  return is_used;
}
