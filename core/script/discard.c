#include "script/discard.h"

#include <stdbool.h>

#include "script/sent_file.h"
#include "script/watchdog.h"

/* Runs inside lua_pcall(). */
static int close_protected(lua_State *state) {
  sent_file_close(state);
  return 0;
}

/* Pops the value on the top and closes it if it is a file. Most files are closed without an
 * allocation; closing others may run a finalizer of the script. False: the file is still open, as
 * standard output is. */
static bool close_top(lua_State *state) {
  bool is_closed = sent_file_close_plain(state, -1);
  if (!is_closed) {
    lua_pushcfunction(state, close_protected);
    lua_pushvalue(state, -2);
    if (lua_pcall(state, 1, 0, 0) != LUA_OK) {
      lua_pop(state, 1);
      watchdog_stop_again();
    }
    is_closed = !sent_file_is_open(state, -1);
  }
  lua_pop(state, 1);
  return is_closed;
}

/* Pushes the first open file in the table at index, not counting the first `skipped` ones. */
static bool push_open(lua_State *state, int index, int skipped) {
  lua_pushnil(state);
  while (lua_next(state, index) != 0) {
    if (lua_isuserdata(state, -1) && sent_file_is_open(state, -1) && skipped-- == 0) {
      lua_remove(state, -2);
      return true;
    }
    lua_pop(state, 1);
  }
  return false;
}

/* Walks the table anew for each file, because a finalizer may have changed it. */
static void close_all_in(lua_State *state, int index) {
  int skipped = 0;
  while (push_open(state, index, skipped))
    if (!close_top(state)) skipped++;
}

static void close_items(lua_State *state, int list) {
  lua_Integer count = (lua_Integer)lua_rawlen(state, list);
  for (lua_Integer i = 1; i <= count; i++) {
    if (lua_rawgeti(state, list, i) == LUA_TTABLE) {
      close_all_in(state, lua_gettop(state));
      lua_pop(state, 1);
    } else
      close_top(state);
  }
  close_all_in(state, list);
}

void discard_response(lua_State *state, int index, lua_Integer slots) {
  if (lua_istable(state, index))
    close_items(state, index);
  else {
    lua_pushvalue(state, index);
    close_top(state);
  }
  for (lua_Integer slot = 1; slot <= slots; slot++) {
    sent_file_push_slot(state, slot);
    close_top(state);
  }
  sent_file_drop_slots(state, slots);
}
