/* io.child(argv, environment) -> child: child.h, with times in seconds. */
#include <poll.h>
#include <stdint.h>

#include "io/child.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char child_class[] = "parlance_spec.child";
enum { WORDS_MAX = 16 };

static struct child *check_child(lua_State *L) {
  struct child **box = luaL_checkudata(L, 1, child_class);
  luaL_argcheck(L, *box, 1, "the child is closed");
  return *box;
}

/* Returns the strings of the list, which keeps them alive, and NULL. */
static void read_words(lua_State *L, int list, char *words[static WORDS_MAX + 1]) {
  luaL_checktype(L, list, LUA_TTABLE);
  size_t count = (size_t)lua_rawlen(L, list);
  luaL_argcheck(L, count <= WORDS_MAX, list, "too many words");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    words[i] = (char *)(uintptr_t)luaL_checkstring(L, -1);
    lua_pop(L, 1);
  }
  words[count] = NULL;
}

static int start(lua_State *L) {
  char *arguments[WORDS_MAX + 1], *environment[WORDS_MAX + 1] = {NULL};
  read_words(L, 1, arguments);
  luaL_argcheck(L, arguments[0], 1, "empty");
  if (!lua_isnoneornil(L, 2)) read_words(L, 2, environment);
  struct child **box = lua_newuserdatauv(L, sizeof(struct child *), 0);
  *box = NULL;
  luaL_setmetatable(L, child_class);
  struct child_command plan = {arguments[0], arguments, environment};
  enum status status = child_start(&plan, box);
  return status == STATUS_OK ? 1 : spec_failure(L, status);
}

static int close_child(lua_State *L) {
  struct child **box = luaL_checkudata(L, 1, child_class);
  child_destroy(*box);
  *box = NULL;
  return 0;
}

static int output(lua_State *L) {
  lua_pushinteger(L, child_output_fd(check_child(L)));
  return 1;
}

static int life(lua_State *L) {
  lua_pushinteger(L, child_exit_fd(check_child(L)));
  return 1;
}

/* child:wait(what, seconds) -> whether its "output" or "life" (exit) descriptor became readable. */
static int wait_for(lua_State *L) {
  static const char *const whats[] = {"output", "life", NULL};
  struct child *child = check_child(L);
  int fd = luaL_checkoption(L, 2, NULL, whats) == 0 ? child_output_fd(child) : child_exit_fd(child);
  struct pollfd one = {.fd = fd, .events = POLLIN};
  lua_pushboolean(L, poll(&one, 1, (int)(luaL_checknumber(L, 3) * 1000)) > 0);
  return 1;
}

static int read_child(lua_State *L) {
  lua_pushboolean(L, child_read(check_child(L)));
  return 1;
}

/* child:ended() -> status, signal; or nothing */
static int ended(lua_State *L) {
  struct child_exit end;
  if (!child_has_exited(check_child(L), &end)) return 0;
  lua_pushinteger(L, end.status);
  lua_pushinteger(L, end.signal);
  return 2;
}

/* child:finish(ms) -> status, signal; or nothing */
static int finish(lua_State *L) {
  struct child_exit end;
  if (!child_wait(check_child(L), luaL_checkinteger(L, 2), &end)) return 0;
  lua_pushinteger(L, end.status);
  lua_pushinteger(L, end.signal);
  return 2;
}

static int text(lua_State *L) {
  struct span span = child_text(check_child(L));
  lua_pushlstring(L, span.data, span.length);
  return 1;
}

static int kill_child(lua_State *L) {
  child_kill(check_child(L));
  return 0;
}

void spec_add_children(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"output", output}, {"life", life}, {"wait", wait_for},   {"read", read_child},
      {"ended", ended},   {"text", text}, {"kill", kill_child}, {"close", close_child},
      {"finish", finish}, {NULL, NULL},
  };
  arguments_add_class(L, child_class, methods, close_child);
  lua_pushcfunction(L, start);
  lua_setfield(L, -2, "child");
}
