#include "script/stuck.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "script/gate.h"
#include "script/traceback.h"

enum {
  NAME_MAX_LENGTH = 64,
  LEVELS_MAX = 1000 /* Levels that are looked at: Lua walks to each of them. */
};

lua_State *stuck_find(lua_State *state) {
  if (!lua_isyieldable(state)) return state;
  for (const struct resuming *one = gate_of(state)->chain; one; one = one->outer)
    if (!lua_isyieldable(one->resumer)) return one->resumer;
  return NULL;
}

bool stuck_is_handling(lua_State *state) {
  lua_Debug frame;
  for (int level = 0; level < LEVELS_MAX && lua_getstack(state, level, &frame); level++) {
    lua_getinfo(state, "f", &frame);
    bool is_handler = lua_tocfunction(state, -1) == gate_of(state)->handler;
    lua_pop(state, 1);
    if (is_handler) return true;
  }
  return false;
}

/* Whether waiting works in what the function with this name calls. */
static bool can_wait_within(const char *name) {
  static const char *const names[] = {"pcall", "xpcall", "pairs", "dofile", "require"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

/* Writes the name of the C function of this frame. False: it has none, because a C function has
 * called it that no module has. */
static bool name_frame(lua_State *state, lua_State *of, lua_Debug *frame, char *name) {
  lua_getinfo(of, "f", frame);
  if (of != state) lua_xmove(of, state, 1);
  bool is_known = traceback_name_function(state, name, NAME_MAX_LENGTH);
  lua_pop(state, 1);
  if (is_known || !frame->name) return is_known;
  strncpy(name, frame->name, NAME_MAX_LENGTH - 1);
  return true;
}

int stuck_complain(lua_State *state, lua_State *stuck, const char *name) {
  lua_Debug frame;
  char function[NAME_MAX_LENGTH] = "";
  /* Level 0 is the function that waits, or the one that has resumed the next coroutine. */
  for (int level = 1; level < LEVELS_MAX && lua_getstack(stuck, level, &frame); level++) {
    lua_getinfo(stuck, "Sn", &frame);
    if (*frame.what == 'C' && name_frame(state, stuck, &frame, function) &&
        !can_wait_within(function))
      return luaL_error(state, "%s cannot wait within %s", name, function);
  }
  return luaL_error(state, "%s cannot wait here", name);
}
