#include "script/traceback.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
  FIRST = 10,           /* Levels shown at the top of the stack. */
  LAST = 11,            /* Levels shown at its bottom. */
  DEPTH_MAX = 16 * 1024 /* The bottom of a deeper stack is not shown: Lua walks to each level. */
};

/* ---- text ---------------------------------------------------------------------------------- */

/* A text in a buffer of fixed size. It is cut at the end of the buffer. */
struct text {
  char *start;
  size_t size;
  size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text->start + text->length, text->size - text->length, format, arguments);
  va_end(arguments);
  if (length > 0) text->length += (size_t)length;
  if (text->length >= text->size) text->length = text->size - 1;
}

/* ---- levels -------------------------------------------------------------------------------- */

bool traceback_name_function(lua_State *state, char *name, size_t size) {
  int function = lua_gettop(state);
  bool is_found = false;
  lua_getfield(state, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(state);
  while (!is_found && lua_next(state, function + 1) != 0) {
    bool is_module = lua_type(state, -2) == LUA_TSTRING && lua_istable(state, -1);
    if (is_module) lua_pushnil(state);
    while (is_module && !is_found && lua_next(state, function + 3) != 0) {
      if (lua_type(state, -2) == LUA_TSTRING && lua_rawequal(state, -1, function)) {
        const char *module = lua_tostring(state, function + 2);
        bool is_base = strcmp(module, LUA_GNAME) == 0;
        snprintf(name, size, "%s%s%s", is_base ? "" : module, is_base ? "" : ".",
                 lua_tostring(state, -2));
        is_found = true;
      }
      lua_pop(state, 1);
    }
    lua_settop(state, function + 2);
  }
  lua_settop(state, function);
  return is_found;
}

static void add_function(lua_State *state, const lua_Debug *about, struct text *text) {
  char name[128];
  if (traceback_name_function(state, name, sizeof name))
    add(text, "function '%s'", name);
  else if (*about->namewhat)
    add(text, "%s '%s'", about->namewhat, about->name);
  else if (*about->what == 'm')
    add(text, "main chunk");
  else if (*about->what != 'C')
    add(text, "function <%s:%d>", about->short_src, about->linedefined);
  else
    add(text, "?");
}

static void add_level(lua_State *state, lua_State *of, lua_Debug *about, struct text *text) {
  lua_getinfo(of, "Slntf", about);
  if (of != state) lua_xmove(of, state, 1);
  if (about->currentline > 0)
    add(text, "\n\t%s:%d: in ", about->short_src, about->currentline);
  else
    add(text, "\n\t%s: in ", about->short_src);
  add_function(state, about, text);
  if (about->istailcall) add(text, "\n\t(...tail calls...)");
  lua_pop(state, 1);
}

/* Returns the number of levels, or DEPTH_MAX if there are more. */
static int count_levels(lua_State *of) {
  lua_Debug about;
  int there = 0, beyond = 1;
  while (beyond < DEPTH_MAX && lua_getstack(of, beyond, &about)) {
    there = beyond;
    beyond *= 2;
  }
  if (beyond >= DEPTH_MAX && lua_getstack(of, DEPTH_MAX, &about)) return DEPTH_MAX;
  while (there < beyond) {
    int middle = (there + beyond) / 2;
    if (lua_getstack(of, middle, &about))
      there = middle + 1;
    else
      beyond = middle;
  }
  return there;
}

/* Whether the last level is a C function that the server itself calls. */
static bool ends_in_server(lua_State *of, int count) {
  lua_Debug about;
  return count > 0 && lua_getstack(of, count - 1, &about) && lua_getinfo(of, "Sn", &about) &&
         *about.what == 'C' && !*about.namewhat;
}

size_t traceback_write(lua_State *state, lua_State *of, int level, char *text, size_t size) {
  struct text written = {.size = size};
  written.start = text;
  lua_Debug about;
  int count = count_levels(of);
  bool is_deep = count == DEPTH_MAX;
  while (!is_deep && ends_in_server(of, count)) count--;
  add(&written, "stack traceback:");
  int skipped = count - level - FIRST - LAST;
  for (int i = level; i < count && lua_getstack(of, i, &about); i++) {
    if (i == level + FIRST && skipped > 0) {
      if (is_deep) {
        add(&written, "\n\t...\t(more than %d levels)", (int)DEPTH_MAX);
        break;
      }
      add(&written, "\n\t...\t(skipping %d levels)", skipped);
      i += skipped;
      if (!lua_getstack(of, i, &about)) break;
    }
    add_level(state, of, &about, &written);
  }
  return written.length;
}
