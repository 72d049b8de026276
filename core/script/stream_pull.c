#include "script/stream_pull.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>

#include "script/stream_value.h"

/* What "any" has returned stands above `base`. Anything but the proper end of the stream must not
 * look like that of the response. */
static int finish_piece(lua_State *state, int base) {
  struct stream *stream = stream_value_test(state, lua_upvalueindex(1));
  if (lua_gettop(state) - base == 1) return 1;
  const char *code = lua_tostring(state, -1);
  bool is_end = strcmp(code, "closed") == 0 && stream && !stream->is_closed;
  bool is_cancelled = strcmp(code, "cancelled") == 0;
  if (!is_end && !is_cancelled)
    return luaL_error(state, "a stream of the response: %s",
                      stream && stream->is_closed ? "it was closed before its end"
                                                  : lua_tostring(state, -2));
  if (stream) stream_close(stream);
  lua_pushnil(state);
  return 1;
}

static int read_piece_again(lua_State *state, int status, lua_KContext base) {
  (void)status;
  return finish_piece(state, (int)base);
}

/* The upvalue is the stream. */
static int read_piece(lua_State *state) {
  lua_settop(state, 0);
  lua_pushcfunction(state, stream_value_read);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_pushliteral(state, "any");
  lua_callk(state, 2, LUA_MULTRET, 0, read_piece_again);
  return finish_piece(state, 0);
}

bool stream_pull_wrap(lua_State *state) {
  if (!stream_value_test(state, -1)) return false;
  lua_pushvalue(state, -1);
  lua_pushcclosure(state, read_piece, 1);
  struct stream *stream = stream_value_test(state, -2);
  if (!stream || stream->is_closed) return luaL_error(state, "a stream of the response is closed");
  if (stream->is_returned) return luaL_error(state, "a stream cannot be returned twice");
  stream->is_returned = true;
  lua_remove(state, -2);
  return true;
}

static bool has_stream(lua_State *state, int index, lua_Integer count) {
  bool has_any = false;
  for (lua_Integer i = 1; i <= count && !has_any; i++) {
    lua_rawgeti(state, index, i);
    has_any = stream_value_test(state, -1) != NULL;
    lua_pop(state, 1);
  }
  return has_any;
}

void stream_pull_wrap_items(lua_State *state, int index) {
  lua_Integer count = (lua_Integer)lua_rawlen(state, index);
  if (!has_stream(state, index, count)) return;
  lua_createtable(state, count < INT_MAX ? (int)count : INT_MAX, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(state, index, i);
    (void)stream_pull_wrap(state);
    lua_rawseti(state, -2, i);
  }
  lua_replace(state, index);
}

struct stream *stream_pull_of(lua_State *state, int index) {
  if (lua_tocfunction(state, index) != read_piece) return NULL;
  if (!lua_getupvalue(state, index, 1)) return NULL;
  struct stream *stream = stream_value_test(state, -1);
  lua_pop(state, 1);
  return stream;
}

void stream_pull_release(struct stream *stream) {
  if (!stream->is_closed) stream_drop(stream);
}
