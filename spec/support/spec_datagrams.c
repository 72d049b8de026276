/* spec_datagrams.c: the functions of io/datagram_socket.h on the descriptors of
 * io.listen("udp:..."). */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "io/datagram_socket.h"
#include "spec_module.h"

static struct datagram_outbox outbox;

static int prepare(lua_State *L) {
  return spec_outcome(L, datagram_socket_prepare((int)luaL_checkinteger(L, 1)));
}

static void push_datagram(lua_State *L, const struct datagram_inbox *inbox, size_t nth) {
  struct datagram_route route;
  struct span bytes = datagram_inbox_take(inbox, nth, &route);
  char host[ADDRESS_TEXT_MAX];
  unsigned port;
  address_numeric(&route.peer.any, host, &port);
  lua_createtable(L, 0, 5);
  lua_pushlstring(L, bytes.data, bytes.length);
  lua_setfield(L, -2, "bytes");
  lua_pushstring(L, host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, port);
  lua_setfield(L, -2, "port");
  lua_pushboolean(L, route.has_own);
  lua_setfield(L, -2, "has_own");
  lua_pushlstring(L, (const char *)&route, sizeof route);
  lua_setfield(L, -2, "route");
}

static int receive_all(lua_State *L) {
  struct datagram_inbox *inbox = lua_touserdata(L, 1);
  size_t count;
  enum status status =
      datagram_inbox_receive(inbox, (int)luaL_checkinteger(L, 2), DATAGRAM_SOCKET_BATCH, &count);
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_datagram(L, inbox, i);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* io.receive_datagrams(fd) -> a list of { bytes, host, port, has_own, route } */
static int receive(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  struct datagram_inbox *inbox = datagram_inbox_create();
  if (!inbox) return spec_failure(L, STATUS_NO_MEMORY);
  lua_pushcfunction(L, receive_all);
  lua_pushlightuserdata(L, inbox);
  lua_pushinteger(L, fd);
  int result = lua_pcall(L, 2, LUA_MULTRET, 0);
  datagram_inbox_destroy(inbox);
  return result == LUA_OK ? lua_gettop(L) - 1 : lua_error(L);
}

/* io.add_datagram(route, bytes) -> true. All specs share one outbox. */
static int add(lua_State *L) {
  size_t size, length;
  const char *route = luaL_checklstring(L, 1, &size);
  const char *bytes = luaL_checklstring(L, 2, &length);
  struct datagram_route copy;
  luaL_argcheck(L, size == sizeof copy, 1, "is no route");
  memcpy(&copy, route, sizeof copy);
  return spec_outcome(L, datagram_outbox_add(&outbox, &copy, (struct span){bytes, length}));
}

/* io.send_datagrams(fd) -> true; or nil, the status, errno's name and the length of what failed */
static int send_all(lua_State *L) {
  struct span failed = {NULL, 0};
  struct datagram_route route;
  int fd = (int)luaL_checkinteger(L, 1);
  enum status status = datagram_outbox_send(&outbox, fd, &failed, &route);
  int count = spec_outcome(L, status);
  if (status != STATUS_ERROR) return count;
  lua_pushinteger(L, (lua_Integer)failed.length);
  return count + 1;
}

static int is_empty(lua_State *L) {
  lua_pushboolean(L, datagram_outbox_is_empty(&outbox));
  return 1;
}

static int drop(lua_State *L) {
  (void)L;
  datagram_outbox_deinit(&outbox);
  return 0;
}

void spec_add_datagrams(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"prepare_datagrams", prepare},
      {"receive_datagrams", receive},
      {"add_datagram", add},
      {"send_datagrams", send_all},
      {"has_no_datagrams", is_empty},
      {"drop_datagrams", drop},
      {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
}
