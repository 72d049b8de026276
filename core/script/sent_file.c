#include "script/sent_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/background.h"
#include "script/file_value.h"
#include "script/finalizers.h"
#include "script/gate.h"
#include "script/replaced.h"

/* The registry's key of the slots: a list, in which those that were given away are nil. */
static const char stock_key;

enum { STOCK = 8 };

/* The open stream at index; NULL if the value is anything else. */
static luaL_Stream *stream_at(lua_State *state, int index) {
  luaL_Stream *stream = luaL_testudata(state, index, LUA_FILEHANDLE);
  return stream && stream->closef ? stream : NULL;
}

bool sent_file_is_open(lua_State *state, int index) {
  return file_value_test(state, index) || stream_at(state, index);
}

static void push_new_slot(lua_State *state) {
  struct sent_file *slot = lua_newuserdatauv(state, sizeof *slot, 0);
  *slot = (struct sent_file){.stream.closef = NULL, .fd = -1};
  luaL_setmetatable(state, LUA_FILEHANDLE);
}

/* The function that the io library closes plain files with. */
static lua_CFunction close_of_files;

/* The function that it closes those of io.popen with, which waits for the program. */
static lua_CFunction close_and_wait;

/* A script that closes a program waits for its end, and gets its status. The collector does not
 * wait: a thread does that. */
static int close_program(lua_State *state) {
  luaL_Stream *stream = luaL_checkudata(state, 1, LUA_FILEHANDLE);
  if (!finalizers_are_running(state)) return close_and_wait(state);
  background_close_pipe(stream->f);
  return 0;
}

/* io.popen(program, mode) */
static int open_program(lua_State *state) {
  const char *mode = luaL_optstring(state, 2, "r");
  luaL_checkstring(state, 1);
  luaL_argcheck(state, strcmp(mode, "r") == 0 || strcmp(mode, "w") == 0, 2, "invalid mode");
  int results = replaced_call(state);
  luaL_Stream *stream = stream_at(state, 1);
  if (stream) {
    close_and_wait = stream->closef;
    stream->closef = close_program;
  }
  return results;
}

static void learn_close(lua_State *state) {
  lua_getglobal(state, LUA_IOLIBNAME);
  replaced_install(state, "popen", open_program, 0);
  lua_getfield(state, -1, "open");
  lua_pushliteral(state, "/dev/null");
  lua_call(state, 1, 1);
  luaL_Stream *stream = stream_at(state, -1);
  if (stream) {
    close_of_files = stream->closef;
    stream->closef = NULL;
    fclose(stream->f);
  }
  lua_pop(state, 2);
}

void sent_file_open(lua_State *state) {
  learn_close(state);
  lua_createtable(state, STOCK, 0);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &stock_key);
  sent_file_fill_stock(state);
}

bool sent_file_has_slots(lua_State *state, lua_Integer count) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &stock_key);
  bool has = true;
  for (lua_Integer i = count; i > 0 && has; i--) {
    has = lua_rawgeti(state, -1, i) != LUA_TNIL;
    lua_pop(state, 1);
  }
  lua_pop(state, 1);
  return has;
}

void sent_file_make_slots(lua_State *state, lua_Integer count) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &stock_key);
  for (lua_Integer i = 1; i <= count; i++) {
    if (lua_rawgeti(state, -1, i) == LUA_TNIL) {
      push_new_slot(state);
      lua_rawseti(state, -3, i);
    }
    lua_pop(state, 1);
  }
  lua_pop(state, 1);
}

void sent_file_push_slot(lua_State *state, lua_Integer slot) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &stock_key);
  lua_rawgeti(state, -1, slot);
  lua_remove(state, -2);
}

void sent_file_give_slot(lua_State *state, lua_Integer slot) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &stock_key);
  lua_pushnil(state);
  lua_rawseti(state, -2, slot);
  lua_pop(state, 1);
}

void sent_file_drop_slots(lua_State *state, lua_Integer count) {
  for (lua_Integer slot = 1; slot <= count; slot++) {
    sent_file_push_slot(state, slot);
    struct sent_file *file = lua_touserdata(state, -1);
    if (file && file->fd >= 0) close(file->fd);
    if (file) file->fd = -1;
    lua_pop(state, 1);
    if (slot > STOCK) sent_file_give_slot(state, slot);
  }
}

void sent_file_fill_stock(lua_State *state) { sent_file_make_slots(state, STOCK); }

/* Finds out how the stream is sent. What the script has written to it is flushed before. A file
 * that does not tell its size (as in /proc) is pulled. */
static enum sent_file_fault measure(FILE *stream, lua_Integer length, struct sent_file *file,
                                    int64_t *left) {
  struct stat about;
  int fd = fileno(stream);
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY) return SENT_FILE_WRITE_ONLY;
  if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) return SENT_FILE_FOLDER;
  bool is_whole = length == SENT_FILE_WHOLE;
  fflush(stream);
  int64_t offset = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) ? ftello(stream) : -1;
  file->is_pulled = offset < 0 || (is_whole && about.st_size == 0);
  if (file->is_pulled) return is_whole ? SENT_FILE_OK : SENT_FILE_NOT_REGULAR;
  *left = about.st_size > offset ? about.st_size - offset : 0;
  if (!is_whole && length > *left) return SENT_FILE_SHORT;
  file->offset = offset;
  file->length = (size_t)(is_whole ? *left : length);
  return SENT_FILE_OK;
}

static enum sent_file_fault take_stream(luaL_Stream *stream, struct sent_file *file,
                                        lua_Integer length, int64_t *left) {
  if (!stream) return SENT_FILE_CLOSED;
  enum sent_file_fault fault = measure(stream->f, length, file, left);
  if (fault != SENT_FILE_OK) return fault;
  file->stream = *stream;
  stream->closef = NULL;
  return SENT_FILE_OK;
}

/* The descriptor is at the beginning of the file. The file is asked for its size only if that which
 * it had when it was opened does not do. */
static enum sent_file_fault take_descriptor(struct file_value *theirs, struct sent_file *file,
                                            lua_Integer length, int64_t *left) {
  struct stat about;
  bool is_whole = length == SENT_FILE_WHOLE;
  *left = theirs->size;
  if ((is_whole || length > *left) && fstat(theirs->fd, &about) == 0) *left = about.st_size;
  if (!is_whole && length > *left) return SENT_FILE_SHORT;
  file->fd = file_value_take(theirs);
  file->is_pulled = false;
  file->offset = 0;
  file->length = (size_t)(is_whole ? *left : length);
  return SENT_FILE_OK;
}

/* A file that does not tell its size is read as a stream. */
enum sent_file_fault sent_file_take(lua_State *state, int theirs, int ours, lua_Integer length,
                                    int64_t *left) {
  struct file_value *value = file_value_test(state, theirs);
  struct sent_file *file = lua_touserdata(state, ours);
  if (value && value->size > 0) return take_descriptor(value, file, length, left);
  file_value_make_stream(state, theirs);
  return take_stream(stream_at(state, theirs), file, length, left);
}

static void name_descriptor(int fd, char *name, size_t size) {
  char link[sizeof "/proc/self/fd/" + 12];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = size > 0 ? readlink(link, name, size - 1) : -1;
  if (size > 0) name[length > 0 ? length : 0] = '\0';
}

void sent_file_name(lua_State *state, int index, char *name, size_t size) {
  luaL_Stream *stream = stream_at(state, index);
  name_descriptor(stream ? fileno(stream->f) : -1, name, size);
}

static void fail_to_read(struct session *session, FILE *stream, int error) {
  char name[PATH_MAX], detail[PATH_MAX + 128];
  name_descriptor(fileno(stream), name, sizeof name);
  snprintf(detail, sizeof detail, "a file of the response cannot be read: %s: %s", name,
           strerror(error));
  session_fail(session, REASON_FILE_ERROR, detail);
}

/* Whether reading may have to wait for a writer. */
static bool may_wait(FILE *stream) {
  struct stat about;
  return fstat(fileno(stream), &about) == 0 && !S_ISREG(about.st_mode);
}

/* Reads what can be read without waiting, from the buffer of the stream and from the descriptor.
 * *is_empty: there is nothing for now. O_NONBLOCK is set for this call only, since others may read
 * from the same pipe or terminal, and expect that reading waits. */
static size_t read_present(FILE *stream, char *space, size_t size, bool *is_empty) {
  int fd = fileno(stream), flags = fcntl(fd, F_GETFL);
  bool waits = flags >= 0 && (flags & O_NONBLOCK) == 0;
  if (waits) (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  errno = 0;
  size_t length = fread(space, 1, size, stream);
  int error = ferror(stream) ? errno : 0;
  if (waits) (void)fcntl(fd, F_SETFL, flags);
  bool is_patient = error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
  if (is_patient) clearerr(stream);
  *is_empty = is_patient && length == 0;
  errno = error;
  return length;
}

/* Allocates the space for the piece before it looks at the file. */
void sent_file_pull(lua_State *state, struct session *session, size_t blocksize) {
  luaL_Buffer block;
  int index = lua_gettop(state);
  char *space = luaL_buffinitsize(state, &block, blocksize);
  luaL_Stream *stream = stream_at(state, index);
  if (!stream) {
    session_fail(session, REASON_FILE_ERROR, "a file of the response has been closed");
    return;
  }
  errno = 0;
  bool is_empty = false;
  size_t length = session_asks_later(session) && may_wait(stream->f)
                      ? read_present(stream->f, space, blocksize, &is_empty)
                      : fread(space, 1, blocksize, stream->f);
  if (is_empty) {
    session_pulled_nothing(session);
    return;
  }
  if (length == 0 && ferror(stream->f)) {
    fail_to_read(session, stream->f, errno);
    return;
  }
  if (session_pulled(session, length > 0 ? space : NULL, length) == STATUS_NO_MEMORY)
    gate_raise_no_memory(state);
}

bool sent_file_close_plain(lua_State *state, int index) {
  struct file_value *value = file_value_test(state, index);
  if (value) close(file_value_take(value));
  luaL_Stream *stream = stream_at(state, index);
  if (!stream) return true;
  if (stream->closef == close_of_files || stream->closef == file_value_close_stream)
    fclose(stream->f);
  else if (stream->closef == close_program)
    background_close_pipe(stream->f);
  else
    return false;
  stream->closef = NULL;
  return true;
}

void sent_file_close(lua_State *state) {
  if (sent_file_close_plain(state, -1)) return;
  luaL_Stream *stream = lua_touserdata(state, -1);
  lua_CFunction close = stream->closef;
  stream->closef = NULL;
  lua_pushcfunction(state, close);
  lua_pushvalue(state, -2);
  lua_call(state, 1, 0);
}
