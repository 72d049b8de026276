/* io.watcher(polls) -> watcher, io.walk_path(), and what a file system's type means to them. */
#include <stdint.h>

#include "simulator/arguments.h"
#include "spec_module.h"
#include "watch/watch_look.h"
#include "watch/watch_path.h"
#include "watch/watcher.h"

static const char watcher_class[] = "parlance_spec.watcher";
enum { PATHS_MAX = 64 };

static struct watcher *check_watcher(lua_State *L) {
  struct watcher **box = luaL_checkudata(L, 1, watcher_class);
  luaL_argcheck(L, *box, 1, "the watcher is closed");
  return *box;
}

static int open_watcher(lua_State *L) {
  struct watcher **box = lua_newuserdatauv(L, sizeof(struct watcher *), 0);
  *box = NULL;
  luaL_setmetatable(L, watcher_class);
  enum status status = watcher_create(lua_toboolean(L, 1), box);
  return status == STATUS_OK ? 1 : spec_failure(L, status);
}

static int close_watcher(lua_State *L) {
  struct watcher **box = luaL_checkudata(L, 1, watcher_class);
  watcher_destroy(*box);
  *box = NULL;
  return 0;
}

/* watcher:watch(path, ...) */
static int watch(lua_State *L) {
  struct watcher *watcher = check_watcher(L);
  const char *paths[PATHS_MAX];
  int count = lua_gettop(L) - 1;
  luaL_argcheck(L, count <= PATHS_MAX, 2, "too many paths");
  for (int i = 0; i < count; i++) paths[i] = luaL_checkstring(L, i + 2);
  return spec_outcome(L, watcher_watch(watcher, paths, (size_t)count));
}

static int descriptor(lua_State *L) {
  lua_pushinteger(L, watcher_descriptor(check_watcher(L)));
  return 1;
}

static int polls(lua_State *L) {
  lua_pushboolean(L, watcher_polls(check_watcher(L)));
  return 1;
}

static int read_watcher(lua_State *L) {
  watcher_read(check_watcher(L), luaL_checkinteger(L, 2));
  return 0;
}

/* watcher:deadline() -> a time, or nil for never */
static int deadline(lua_State *L) {
  int64_t when = watcher_deadline(check_watcher(L));
  if (when == CLOCK_NEVER) return 0;
  lua_pushinteger(L, when);
  return 1;
}

static int settled(lua_State *L) {
  lua_pushboolean(L, watcher_settled(check_watcher(L), luaL_checkinteger(L, 2)));
  return 1;
}

/* watcher:nudge([when]); without a time it is taken back */
static int nudge(lua_State *L) {
  watcher_nudge(check_watcher(L), luaL_optinteger(L, 2, CLOCK_NEVER));
  return 0;
}

/* io.is_shared_type(f_type) */
static int is_shared_type(lua_State *L) {
  lua_pushboolean(L, watch_look_is_shared_type((uint32_t)luaL_checkinteger(L, 1)));
  return 1;
}

static bool on_visit(void *context, enum watch_reason reason, const char *folder,
                     const char *name) {
  static const char *const reasons[] = {
      [WATCH_ON_PATH] = "way", [WATCH_PARENT] = "loss", [WATCH_NAME] = "name"};
  lua_State *L = context;
  lua_pushvalue(L, 2);
  lua_pushstring(L, reasons[reason]);
  lua_pushstring(L, folder);
  lua_pushstring(L, name);
  lua_call(L, 3, 1);
  bool stops = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  lua_pop(L, 1);
  return !stops;
}

/* io.walk_path(path, visit) -> whether it was walked; visit(reason, folder, name) may return false
 * to stop. The walk owns nothing that an error of the visitor could leak. */
static int walk_path(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushboolean(L, watch_path_walk(path, on_visit, L));
  return 1;
}

void spec_add_watcher(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"watch", watch},       {"descriptor", descriptor}, {"polls", polls},
      {"read", read_watcher}, {"deadline", deadline},     {"settled", settled},
      {"nudge", nudge},       {"close", close_watcher},   {NULL, NULL},
  };
  arguments_add_class(L, watcher_class, methods, close_watcher);
  lua_pushcfunction(L, open_watcher);
  lua_setfield(L, -2, "watcher");
  lua_pushcfunction(L, walk_path);
  lua_setfield(L, -2, "walk_path");
  lua_pushcfunction(L, is_shared_type);
  lua_setfield(L, -2, "is_shared_type");
}
