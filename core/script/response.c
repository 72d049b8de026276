#include "script/response.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "script/file_value.h"
#include "script/gate.h"
#include "script/watchdog.h"

/* How often in a row a function may have nothing to say before it counts as stuck. */
enum { EMPTY_PIECES_MAX = 1000 };

static void check_status(lua_State *state, enum status status) {
  if (status == STATUS_NO_MEMORY) gate_raise_no_memory(state);
}

/* The open stream at index, or NULL if something else is there or it has been closed. */
static luaL_Stream *stream_at(lua_State *state, int index) {
  luaL_Stream *stream = luaL_testudata(state, index, LUA_FILEHANDLE);
  return stream && stream->closef ? stream : NULL;
}

/* Whether an open file is at index: a stream, or one of parlance.files that is none yet. */
static bool is_file(lua_State *state, int index) {
  int fd;
  int64_t size;
  return file_value_look(state, index, &fd, &size) || stream_at(state, index);
}

/* Pushes the two fields of a part of a file, { file = f, length = n }. */
static void push_part(lua_State *state, int index) {
  index = lua_absindex(state, index);
  lua_pushliteral(state, "file");
  lua_rawget(state, index);
  lua_pushliteral(state, "length");
  lua_rawget(state, index);
}

/* Pushes them if the table at index is a part of a file and nothing else; false, with nothing
 * pushed, if it is not. */
static bool push_if_part(lua_State *state, int index) {
  int fields = 0;
  index = lua_absindex(state, index);
  lua_pushnil(state);
  while (lua_next(state, index) != 0) {
    lua_pop(state, 1);
    fields++;
  }
  push_part(state, index);
  if (fields == 2 && lua_isinteger(state, -1) && lua_tointeger(state, -1) >= 0 &&
      is_file(state, -2))
    return true;
  lua_pop(state, 2);
  return false;
}

/* What a function of the script returned, for complaints about it. */
struct returned {
  const struct generation *generation;
  enum function function;
};

/* The value on the top is not what it must be; `item` is its place in a list, or 0. */
static void complain(lua_State *state, const struct returned *returned, lua_Integer item) {
  const char *type = luaL_typename(state, -1);
  file_value_make_stream(state, -1);
  if (luaL_testudata(state, -1, LUA_FILEHANDLE))
    type = stream_at(state, -1) ? "file" : "closed file";
  const char *value = luaL_tolstring(state, -1, NULL);
  const char *place = generation_push_place(state, returned->generation, returned->function);
  if (item > 0)
    luaL_error(state,
               "%s returned a list whose item %I is a %s (%s), not a string, file, function or { "
               "file, length }",
               place, (LUAI_UACINT)item, type, value);
  luaL_error(state, "%s returned a %s (%s), not a string, a list or nil", place, type, value);
}

static void send_string(lua_State *state, struct session *session) {
  size_t length;
  const char *bytes = lua_tolstring(state, -1, &length);
  if (length < SESSION_HOLD_FROM) {
    check_status(state, session_send(session, bytes, length));
    return;
  }
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  enum status status = session_send_held(session, bytes, length, reference);
  if (status != STATUS_OK) luaL_unref(state, LUA_REGISTRYINDEX, reference);
  check_status(state, status);
}

/* How much of a regular file is left from its current offset; false for any other file, and for one
 * that does not tell its size (as in /proc). */
static bool measure(FILE *file, int64_t *offset, int64_t *length) {
  struct stat about;
  if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode) || about.st_size == 0)
    return false;
  fflush(file); /* what the script wrote to it belongs to it */
  *offset = ftello(file);
  if (*offset < 0 || fstat(fileno(file), &about) != 0) return false;
  *length = about.st_size > *offset ? about.st_size - *offset : 0;
  return true;
}

/* Puts a file of the core's own in the place of the script's on the top, which is closed for the
 * script from here on: it can neither close it while it is being sent nor send it twice. */
static FILE *take_file(lua_State *state) {
  luaL_Stream *theirs = stream_at(state, -1);
  if (!theirs) return NULL;
  luaL_Stream *ours = lua_newuserdatauv(state, sizeof *ours, 0);
  ours->closef = NULL;
  luaL_setmetatable(state, LUA_FILEHANDLE);
  *ours = *theirs;
  theirs->closef = NULL;
  lua_replace(state, -2);
  return ours->f;
}

static void send_source(lua_State *state, struct session *session) {
  int64_t offset, length;
  file_value_make_stream(state, -1);
  FILE *file = take_file(state);
  bool is_regular = file && measure(file, &offset, &length);
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  if (is_regular && length == 0) {
    response_close(state, reference);
    luaL_unref(state, LUA_REGISTRYINDEX, reference);
    return;
  }
  enum status status =
      is_regular ? session_send_file(session, fileno(file), offset, (size_t)length, reference)
                 : session_send_source(session, reference);
  if (status != STATUS_OK) luaL_unref(state, LUA_REGISTRYINDEX, reference);
  check_status(state, status);
}

/* A descriptor that no value of Lua's owns has a negative reference, unlike what luaL_ref() gives.
 */
static int reference_of(int fd) { return -1 - fd; }

bool response_close_descriptor(int reference) {
  if (reference >= 0) return false;
  close(-1 - reference);
  return true;
}

/* Takes the descriptor itself, and nothing is left that would have to be collected. */
static void send_descriptor(lua_State *state, struct session *session, int fd, size_t length) {
  enum status status = STATUS_OK;
  file_value_take(state, -1);
  if (length > 0) status = session_send_file(session, fd, 0, length, reference_of(fd));
  if (length == 0 || status != STATUS_OK) close(fd);
  check_status(state, status);
}

/* Takes a part of a file. That it has so many bytes left is seen when it is sent; until then it may
 * get shorter anyway. */
static void send_part(lua_State *state, struct session *session) {
  int fd;
  int64_t size;
  push_part(state, -1);
  size_t length = (size_t)lua_tointeger(state, -1);
  lua_pop(state, 1);
  lua_remove(state, -2);
  if (file_value_look(state, -1, &fd, &size)) {
    send_descriptor(state, session, fd, length);
    return;
  }
  FILE *file = take_file(state);
  int64_t offset = ftello(file);
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  if (length == 0) {
    response_close(state, reference);
    luaL_unref(state, LUA_REGISTRYINDEX, reference);
    return;
  }
  enum status status = session_send_file(session, fileno(file), offset, length, reference);
  if (status != STATUS_OK) luaL_unref(state, LUA_REGISTRYINDEX, reference);
  check_status(state, status);
}

static void send_item(lua_State *state, struct session *session) {
  if (lua_type(state, -1) == LUA_TSTRING)
    send_string(state, session);
  else if (lua_type(state, -1) == LUA_TTABLE)
    send_part(state, session);
  else
    send_source(state, session);
}

/* Only a regular file has a part, and one that ends within the file. What parlance.files has opened
 * is regular, and was looked at when it was opened. */
static void check_part(lua_State *state, const struct returned *returned, lua_Integer item) {
  struct stat about;
  int fd;
  int64_t size;
  if (!push_if_part(state, -1)) complain(state, returned, item);
  lua_Integer length = lua_tointeger(state, -1);
  if (file_value_look(state, -2, &fd, &size) && length <= size) {
    lua_pop(state, 2);
    return;
  }
  file_value_make_stream(state, -2);
  FILE *file = stream_at(state, -2)->f;
  fflush(file); /* what the script wrote to it belongs to it */
  int64_t offset = ftello(file);
  if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode) || offset < 0)
    luaL_error(state, "%s returned a list whose item %I is a part of a file that is no regular one",
               generation_push_place(state, returned->generation, returned->function),
               (LUAI_UACINT)item);
  if (length > about.st_size - offset)
    luaL_error(state, "%s returned a list whose item %I is %I bytes of a file that has %I left",
               generation_push_place(state, returned->generation, returned->function),
               (LUAI_UACINT)item, (LUAI_UACINT)length,
               (LUAI_UACINT)(about.st_size > offset ? about.st_size - offset : 0));
  lua_pop(state, 2);
}

/* Pushes the file of the item at index, be it whole or a part; false, with nothing pushed, if the
 * item is something else. */
static bool push_file_of(lua_State *state, int index) {
  int type = lua_type(state, index);
  if (type == LUA_TUSERDATA) lua_pushvalue(state, index);
  if (type == LUA_TTABLE) lua_getfield(state, index, "file");
  return type == LUA_TUSERDATA || type == LUA_TTABLE;
}

/* A file is closed when it has been sent, so it cannot stand in a list (at index) twice. `files`
 * items before the one on the top are files. */
static void check_only_once(lua_State *state, const struct returned *returned, int list,
                            lua_Integer item, lua_Integer files) {
  if (files == 0 || !push_file_of(state, -1)) return;
  for (lua_Integer i = 1; i < item; i++) {
    lua_rawgeti(state, list, i);
    if (push_file_of(state, -1)) {
      if (lua_rawequal(state, -1, -3))
        luaL_error(state, "%s returned a list whose items %I and %I are the same file",
                   generation_push_place(state, returned->generation, returned->function),
                   (LUAI_UACINT)i, (LUAI_UACINT)item);
      lua_pop(state, 1);
    }
    lua_pop(state, 1);
  }
  lua_pop(state, 1);
}

/* All or nothing: a list is looked at whole before its first item goes out. */
static lua_Integer check_list(lua_State *state, const struct returned *returned) {
  lua_Integer count = (lua_Integer)lua_rawlen(state, -1), files = 0;
  int list = lua_gettop(state);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(state, -1, i);
    int type = lua_type(state, -1);
    if (type == LUA_TTABLE)
      check_part(state, returned, i);
    else if (type != LUA_TSTRING && type != LUA_TFUNCTION && !is_file(state, -1))
      complain(state, returned, i);
    check_only_once(state, returned, list, i, files);
    if (type != LUA_TSTRING && type != LUA_TFUNCTION) files++;
    lua_pop(state, 1);
  }
  if (count > 0) return count;
  lua_pushnil(state);
  if (lua_next(state, -2) != 0)
    luaL_error(state, "%s returned a table without list items",
               generation_push_place(state, returned->generation, returned->function));
  return 0;
}

static void send_list(lua_State *state, struct session *session, const struct returned *returned) {
  int list = lua_gettop(state);
  for (lua_Integer i = 1, count = check_list(state, returned); i <= count; i++) {
    lua_rawgeti(state, list, i);
    send_item(state, session);
    lua_settop(state, list);
  }
}

void response_queue(lua_State *state, struct session *session, const struct generation *generation,
                    enum function function) {
  struct returned returned = {generation, function};
  switch (lua_type(state, -1)) {
  case LUA_TSTRING: send_string(state, session); break;
  case LUA_TNIL: break;
  case LUA_TTABLE: send_list(state, session, &returned); break;
  default: complain(state, &returned, 0);
  }
}

static void pull_file(lua_State *state, struct session *session, FILE *file, size_t blocksize) {
  luaL_Buffer block;
  char *space = luaL_buffinitsize(state, &block, blocksize);
  errno = 0;
  size_t length = fread(space, 1, blocksize, file);
  if (length == 0 && ferror(file)) {
    session_fail(session, REASON_FILE_ERROR, strerror(errno));
    return;
  }
  check_status(state, session_pulled(session, length > 0 ? space : NULL, length));
}

/* A function that has nothing to say is asked again, at once and then in another turn. */
static void pull_function(lua_State *state, struct session *session, int64_t patience) {
  int function = lua_gettop(state);
  uint32_t started = watchdog_renewed();
  for (int tries = 0; tries < EMPTY_PIECES_MAX; tries++) {
    size_t length;
    lua_pushvalue(state, function);
    watchdog_renew();
    lua_call(state, 0, 1);
    if (lua_isnil(state, -1)) {
      session_pulled(session, NULL, 0);
      return;
    }
    const char *type = luaL_typename(state, -1);
    if (lua_type(state, -1) != LUA_TSTRING)
      luaL_error(state, "a function of the response returned %s (%s), not a string or nil", type,
                 luaL_tolstring(state, -1, NULL));
    const char *bytes = lua_tolstring(state, -1, &length);
    if (length > 0) {
      check_status(state, session_pulled(session, bytes, length));
      return;
    }
    lua_pop(state, 1);
    if (watchdog_renewed() - started >= patience) return;
  }
  luaL_error(state, "a function of the response returned \"\" %d times in a row",
             (int)EMPTY_PIECES_MAX);
}

void response_pull(lua_State *state, struct session *session, lua_Integer blocksize,
                   int64_t patience) {
  int top = lua_gettop(state);
  lua_rawgeti(state, LUA_REGISTRYINDEX, session_source(session));
  if (lua_isfunction(state, -1))
    pull_function(state, session, patience);
  else
    pull_file(state, session, stream_at(state, -1)->f, (size_t)blocksize);
  lua_settop(state, top);
}

/* As a file's own `close` does, which a script may have replaced. */
void response_close(lua_State *state, int reference) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, reference);
  luaL_Stream *stream = stream_at(state, -1);
  if (stream) {
    lua_CFunction close = stream->closef;
    stream->closef = NULL;
    lua_pushcfunction(state, close);
    lua_pushvalue(state, -2);
    lua_call(state, 1, 0);
  }
  lua_pop(state, 1);
}
