#include "script/sent_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/gate.h"

/* The registry's key of the stock of rooms: a list, in which those that were taken are nil. */
static const char stock_key;

enum { STOCK = 4 };

luaL_Stream *sent_file_stream(lua_State *state, int index) {
  luaL_Stream *stream = luaL_testudata(state, index, LUA_FILEHANDLE);
  return stream && stream->closef ? stream : NULL;
}

void sent_file_push_room(lua_State *state) {
  struct sent_file *room = lua_newuserdatauv(state, sizeof *room, 0);
  *room = (struct sent_file){.stream.closef = NULL};
  luaL_setmetatable(state, LUA_FILEHANDLE);
}

void sent_file_open(lua_State *state) {
  lua_createtable(state, STOCK, 0);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &stock_key);
  sent_file_fill_stock(state);
}

bool sent_file_push_stock(lua_State *state, lua_Integer count) {
  int stock = lua_gettop(state) + 1;
  lua_rawgetp(state, LUA_REGISTRYINDEX, &stock_key);
  if (count > STOCK || lua_rawlen(state, stock) < (size_t)count) {
    lua_pop(state, 1);
    return false;
  }
  for (lua_Integer i = (lua_Integer)lua_rawlen(state, stock); count > 0; count--, i--) {
    lua_rawgeti(state, stock, i);
    lua_pushnil(state);
    lua_rawseti(state, stock, i);
  }
  lua_remove(state, stock);
  return true;
}

void sent_file_fill_stock(lua_State *state) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &stock_key);
  for (lua_Integer i = (lua_Integer)lua_rawlen(state, -1) + 1; i <= STOCK; i++) {
    sent_file_push_room(state);
    lua_rawseti(state, -2, i);
  }
  lua_pop(state, 1);
}

/* What the script wrote to the file belongs to it. A file that does not tell its size (as in /proc)
 * is read to its end. */
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

enum sent_file_fault sent_file_take(lua_State *state, int theirs, int ours, lua_Integer length,
                                    int64_t *left) {
  luaL_Stream *stream = sent_file_stream(state, theirs);
  struct sent_file *file = lua_touserdata(state, ours);
  if (!stream) return SENT_FILE_CLOSED;
  enum sent_file_fault fault = measure(stream->f, length, file, left);
  if (fault != SENT_FILE_OK) return fault;
  file->stream = *stream;
  stream->closef = NULL;
  return SENT_FILE_OK;
}

void sent_file_name(int fd, char *name, size_t size) {
  char link[sizeof "/proc/self/fd/" + 12];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = size > 0 ? readlink(link, name, size - 1) : -1;
  if (size > 0) name[length > 0 ? length : 0] = '\0';
}

static void fail_to_read(struct session *session, FILE *stream, int error) {
  char name[PATH_MAX], detail[PATH_MAX + 128];
  sent_file_name(fileno(stream), name, sizeof name);
  snprintf(detail, sizeof detail, "a file of the response cannot be read: %s: %s", name,
           strerror(error));
  session_fail(session, REASON_FILE_ERROR, detail);
}

/* The room for the piece is made before the file is looked at. */
void sent_file_pull(lua_State *state, struct session *session, size_t blocksize) {
  luaL_Buffer block;
  int index = lua_gettop(state);
  char *space = luaL_buffinitsize(state, &block, blocksize);
  luaL_Stream *stream = sent_file_stream(state, index);
  if (!stream) {
    session_fail(session, REASON_FILE_ERROR, "a file of the response has been closed");
    return;
  }
  errno = 0;
  size_t length = fread(space, 1, blocksize, stream->f);
  if (length == 0 && ferror(stream->f)) {
    fail_to_read(session, stream->f, errno);
    return;
  }
  if (session_pulled(session, length > 0 ? space : NULL, length) == STATUS_NO_MEMORY)
    gate_raise_no_memory(state);
}

void sent_file_close(lua_State *state) {
  luaL_Stream *stream = sent_file_stream(state, -1);
  if (!stream) return;
  lua_CFunction close = stream->closef;
  stream->closef = NULL;
  lua_pushcfunction(state, close);
  lua_pushvalue(state, -2);
  lua_call(state, 1, 0);
}
