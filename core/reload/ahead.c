#include "reload/ahead.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "script/watchdog.h"

/* ---- compiling ----------------------------------------------------------------------------- */

/* What is left of a text. */
struct text {
  const char *bytes;
  size_t length;
  const struct ahead *ahead; /* NULL: it is compiled in one piece */
  bool has_begun;
  bool is_collecting; /* Lua's collector would run if it were not for us */
};

/* As luaL_loadfilex does: a byte order mark and a first line that begins with "#" are no Lua; the
 * end of that line stays, so that the lines keep their numbers. */
static void skip_first_line(struct text *text) {
  const char *start = text->bytes, *end = start + text->length;
  if (text->length >= 3 && memcmp(start, "\xEF\xBB\xBF", 3) == 0) start += 3;
  if (start < end && *start == '#') {
    const char *feed = memchr(start, '\n', (size_t)(end - start));
    start = feed ? feed : end;
  }
  text->bytes = start;
  text->length = (size_t)(end - start);
}

static void stop_collecting(lua_State *state, struct text *text) {
  text->is_collecting = lua_gc(state, LUA_GCISRUNNING);
  lua_gc(state, LUA_GCSTOP);
}

static void let_collect(lua_State *state, const struct text *text) {
  if (text->is_collecting) lua_gc(state, LUA_GCRESTART);
}

/* Lua lets a reader do what it likes, other coroutines of the same state included: load() may be
 * given a function to read with. The time that others take is not ours. */
static void pause_between(lua_State *state, struct text *text) {
  let_collect(state, text);
  text->ahead->pause(text->ahead->context);
  watchdog_restart();
  stop_collecting(state, text);
}

/* A lua_Reader. */
static const char *next_piece(lua_State *state, void *context, size_t *length) {
  struct text *text = context;
  bool is_cut = text->ahead && text->ahead->pause;
  if (is_cut && text->has_begun && text->length > 0) pause_between(state, text);
  text->has_begun = true;
  const char *piece = text->bytes;
  *length = is_cut && text->length > AHEAD_PIECE ? AHEAD_PIECE : text->length;
  text->bytes += *length;
  text->length -= *length;
  return piece;
}

int ahead_compile(lua_State *state, const char *name, const char *bytes, size_t length,
                  const char *mode, const struct ahead *ahead) {
  struct text text = {.bytes = bytes, .length = length, .ahead = ahead};
  skip_first_line(&text);
  stop_collecting(state, &text);
  int result = lua_load(state, next_piece, &text, name, mode);
  let_collect(state, &text);
  return result;
}

/* ---- ahead --------------------------------------------------------------------------------- */

void ahead_init(struct ahead *ahead) { *ahead = (struct ahead){.functions = LUA_NOREF}; }

struct work {
  struct ahead *ahead;
  const char *path;
  size_t nth;
};

static int make_list(lua_State *state) {
  struct ahead *ahead = lua_touserdata(state, 1);
  lua_createtable(state, (int)ahead->files.count, 0);
  ahead->functions = luaL_ref(state, LUA_REGISTRYINDEX);
  return 0;
}

/* That a file cannot be compiled is said when it is asked for. */
static int compile_nth(lua_State *state) {
  struct work *work = lua_touserdata(state, 1);
  const struct source *file = &work->ahead->files.items[work->nth];
  bool is_script = strcmp(file->path, work->path) == 0;
  lua_rawgeti(state, LUA_REGISTRYINDEX, work->ahead->functions);
  const char *name = lua_pushfstring(state, "@%s", file->path);
  int result =
      ahead_compile(state, name, file->bytes, file->length, is_script ? "t" : NULL, work->ahead);
  if (result == LUA_ERRMEM) gate_raise_no_memory(state);
  lua_rawseti(state, -3, (lua_Integer)work->nth + 1);
  return 0;
}

/* luaL_unref() only changes fields that exist. */
static void give_up(struct gate *gate, struct ahead *ahead) {
  luaL_unref(gate->main, LUA_REGISTRYINDEX, ahead->functions);
  ahead->functions = LUA_NOREF;
}

static void compile_all(struct gate *gate, struct ahead *ahead, const char *path) {
  if (gate_run(gate, make_list, ahead) != GATE_OK) return;
  for (size_t i = 0; i < ahead->files.count; i++) {
    struct work work = {ahead, path, i};
    if (ahead->pause) ahead->pause(ahead->context);
    bool is_compiled = gate_run(gate, compile_nth, &work) == GATE_OK;
    free(ahead->files.items[i].bytes);
    ahead->files.items[i].bytes = NULL;
    if (is_compiled) continue;
    give_up(gate, ahead);
    return;
  }
}

/* The reserves are for the version that is to run, and not for what it may not ask for. */
void ahead_prepare(struct gate *gate, struct ahead *ahead, const char *path) {
  struct memory_reserves before = memory_withhold_reserves(gate->memory);
  compile_all(gate, ahead, path);
  memory_restore_reserves(gate->memory, before);
}

bool ahead_take(lua_State *state, struct sources *sources, const char *path) {
  const struct ahead *ahead = sources->ahead;
  const struct source *file = ahead ? sources_find(&ahead->files, path) : NULL;
  if (!file || ahead->functions == LUA_NOREF) return false;
  lua_Integer nth = file - ahead->files.items + 1;
  lua_rawgeti(state, LUA_REGISTRYINDEX, ahead->functions);
  if (lua_rawgeti(state, -1, nth) == LUA_TNIL) {
    lua_pop(state, 2);
    return false;
  }
  lua_pushnil(state);
  lua_rawseti(state, -3, nth);
  lua_remove(state, -2);
  if (sources_take(sources, file) != STATUS_OK) gate_raise_no_memory(state);
  return true;
}

void ahead_deinit(struct gate *gate, struct ahead *ahead) {
  give_up(gate, ahead);
  sources_deinit(&ahead->files);
}
