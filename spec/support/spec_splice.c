/* spec_splice.c: io.splice() makes a way of io/splice.h with pipes of its own.
 *
 *   way:move(from, to, budget) -> status in lower case, how many bytes were moved
 *   way:state() -> bytes in the pipe, whether it is blocked, how many pipes there are
 *   way:close() */
#include "io/splice.h"
#include "spec_module.h"

static const char class_name[] = "parlance.spec.splice";

struct one_way {
  struct splice_way way;
  struct splice_pipes pipes;
};

static int move(lua_State *L) {
  static const char *const words[] = {[STATUS_OK] = "ok",
                                      [STATUS_AGAIN] = "again",
                                      [STATUS_CLOSED] = "closed",
                                      [STATUS_ERROR] = "error"};
  struct one_way *one = luaL_checkudata(L, 1, class_name);
  int from = (int)luaL_checkinteger(L, 2), to = (int)luaL_checkinteger(L, 3);
  size_t moved = 0;
  enum status status =
      splice_move(&one->way, &one->pipes, from, to, (size_t)luaL_checkinteger(L, 4), &moved);
  lua_pushstring(L, words[status]);
  lua_pushinteger(L, (lua_Integer)moved);
  return 2;
}

static int tell_state(lua_State *L) {
  const struct one_way *one = luaL_checkudata(L, 1, class_name);
  lua_pushinteger(L, (lua_Integer)one->way.held);
  lua_pushboolean(L, one->way.is_blocked);
  lua_pushinteger(L, (lua_Integer)one->pipes.count);
  return 3;
}

static int close_all(lua_State *L) {
  struct one_way *one = luaL_checkudata(L, 1, class_name);
  splice_end(&one->way, &one->pipes);
  splice_pipes_close(&one->pipes);
  return 0;
}

static int create(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"move", move}, {"state", tell_state}, {"close", close_all}, {NULL, NULL}};
  struct one_way *one = lua_newuserdatauv(L, sizeof *one, 0);
  *one = (struct one_way){0};
  if (luaL_newmetatable(L, class_name)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close_all);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return 1;
}

void spec_add_splice(lua_State *L) {
  lua_pushcfunction(L, create);
  lua_setfield(L, -2, "splice");
}
