/* io.poller and io.address_*; the rest of io is in spec_socket.c, spec_resolver.c,
 * spec_watcher.c and spec_child.c. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdint.h>
#include <string.h>

#include "io/address.h"
#include "io/cidr.h"
#include "io/poller.h"
#include "simulator/arguments.h"
#include "spec_module.h"

/* --- io.poller(name) -> poller: owners are integers, interests the letters of "rw" --- */

static const char poller_class[] = "parlance_spec.poller";
enum { EVENTS_MAX = 1024 };

static struct poller *check_poller(lua_State *L) {
  struct poller **box = luaL_checkudata(L, 1, poller_class);
  luaL_argcheck(L, *box, 1, "the poller is closed");
  return *box;
}

static unsigned check_interest(lua_State *L, int index) {
  const char *letters = luaL_checkstring(L, index);
  unsigned interest = POLLER_NONE;
  if (strchr(letters, 'r')) interest |= POLLER_READ;
  if (strchr(letters, 'w')) interest |= POLLER_WRITE;
  if (strchr(letters, 'e')) interest |= POLLER_END;
  return interest;
}

static int open_poller(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  struct poller **box = lua_newuserdatauv(L, sizeof(struct poller *), 0);
  *box = NULL;
  luaL_setmetatable(L, poller_class);
  enum status status = poller_create(name, box);
  return status == STATUS_OK ? 1 : spec_failure(L, status);
}

static int close_poller(lua_State *L) {
  struct poller **box = luaL_checkudata(L, 1, poller_class);
  poller_destroy(*box);
  *box = NULL;
  return 0;
}

static int name_of_poller(lua_State *L) {
  lua_pushstring(L, poller_name(check_poller(L)));
  return 1;
}

static int add_to_poller(lua_State *L) {
  struct poller *poller = check_poller(L);
  int fd = (int)luaL_checkinteger(L, 2);
  unsigned interest = check_interest(L, 3);
  void *owner = (void *)(intptr_t)luaL_checkinteger(L, 4);
  return spec_outcome(L, poller_add(poller, fd, interest, owner));
}

static int change_in_poller(lua_State *L) {
  struct poller *poller = check_poller(L);
  int fd = (int)luaL_checkinteger(L, 2);
  return spec_outcome(L, poller_change(poller, fd, check_interest(L, 3)));
}

static int remove_from_poller(lua_State *L) {
  poller_remove(check_poller(L), (int)luaL_checkinteger(L, 2));
  return 0;
}

static void set_flag(lua_State *L, const char *name, unsigned flag) {
  lua_pushboolean(L, flag != 0);
  lua_setfield(L, -2, name);
}

static void push_event(lua_State *L, const struct poller_event *event) {
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, (lua_Integer)(intptr_t)event->owner);
  lua_setfield(L, -2, "owner");
  set_flag(L, "read", event->events & POLLER_READ);
  set_flag(L, "write", event->events & POLLER_WRITE);
  set_flag(L, "gone", event->events & POLLER_GONE);
  if (event->events & POLLER_END) set_flag(L, "ended", true);
}

/* poller:wait(milliseconds [, capacity]) returns a list of { owner =, read =, write =, gone =,
 * ended = }. */
static int wait_for_poller(lua_State *L) {
  struct poller *poller = check_poller(L);
  int timeout = (int)luaL_checkinteger(L, 2);
  lua_Integer capacity = luaL_optinteger(L, 3, EVENTS_MAX);
  luaL_argcheck(L, capacity >= 1 && capacity <= EVENTS_MAX, 3, "out of range");
  struct poller_event events[EVENTS_MAX];
  size_t count;
  enum status status = poller_wait(poller, timeout, events, (size_t)capacity, &count);
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_event(L, &events[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static const luaL_Reg poller_methods[] = {
    {"name", name_of_poller},
    {"add", add_to_poller},
    {"change", change_in_poller},
    {"remove", remove_from_poller},
    {"wait", wait_for_poller},
    {"close", close_poller},
    {NULL, NULL},
};

void spec_add_pollers(lua_State *L) {
  arguments_add_class(L, poller_class, poller_methods, close_poller);
  lua_pushcfunction(L, open_poller);
  lua_setfield(L, -2, "poller");
}

/* --- addresses --- */

/* io.address_parse(text) -> { host =, port =, kind = "tcp", "udp" or "unix" }, or nil and why */
static int parse_address(lua_State *L) {
  static const char *const kinds[] = {
      [ADDRESS_TCP] = "tcp", [ADDRESS_UDP] = "udp", [ADDRESS_UNIX] = "unix"};
  struct address address;
  const char *why = "?";
  if (address_parse(luaL_checkstring(L, 1), &address, &why) != STATUS_OK) {
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
  }
  lua_createtable(L, 0, 3);
  lua_pushstring(L, address.host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, address.port);
  lua_setfield(L, -2, "port");
  lua_pushstring(L, kinds[address.kind]);
  lua_setfield(L, -2, "kind");
  return 1;
}

static int format_address(lua_State *L) {
  char text[ADDRESS_TEXT_MAX];
  address_format(luaL_checkstring(L, 1), (unsigned)luaL_checkinteger(L, 2), text);
  lua_pushstring(L, text);
  return 1;
}

/* io.address_numeric(host, port) -> host and port after a journey through a sockaddr */
static int numeric_address(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  const char *service = luaL_checkstring(L, 2);
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo *list;
  char text[ADDRESS_TEXT_MAX];
  unsigned port;
  if (getaddrinfo(host, service, &hints, &list) != 0) return luaL_error(L, "not numeric: %s", host);
  address_numeric(list->ai_addr, text, &port);
  freeaddrinfo(list);
  lua_pushstring(L, text);
  lua_pushinteger(L, port);
  return 2;
}

union peer_address spec_peer_address(const char *host) {
  union peer_address peer = {.any.sa_family = AF_UNIX};
  if (inet_pton(AF_INET, host, &peer.ipv4.sin_addr) == 1)
    peer.any.sa_family = AF_INET;
  else if (inet_pton(AF_INET6, host, &peer.ipv6.sin6_addr) == 1)
    peer.any.sa_family = AF_INET6;
  return peer;
}

/* io.cidr_list(text, ...) -> { whether the list has each further argument }, a host in numbers or
 * "unix"; or nil, the part of the text at fault and why */
static int cidr_list(lua_State *L) {
  struct cidr_list list = {0};
  struct span fault;
  const char *why = "?";
  const char *text = luaL_checkstring(L, 1);
  if (cidr_list_add(&list, text, &fault, &why) != STATUS_OK) {
    cidr_list_deinit(&list);
    lua_pushnil(L);
    lua_pushlstring(L, fault.data, fault.length);
    lua_pushstring(L, why);
    return 3;
  }
  int count = lua_gettop(L);
  lua_newtable(L);
  for (int i = 2; i <= count; i++) {
    union peer_address peer = spec_peer_address(lua_tostring(L, i));
    lua_pushboolean(L, cidr_list_has(&list, &peer));
    lua_rawseti(L, -2, i - 1);
  }
  cidr_list_deinit(&list);
  return 1;
}

void spec_add_addresses(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"address_parse", parse_address},
      {"address_format", format_address},
      {"address_numeric", numeric_address},
      {"cidr_list", cidr_list},
      {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
}

int spec_open_io(lua_State *L) {
  lua_newtable(L);
  spec_add_pollers(L);
  spec_add_addresses(L);
  spec_add_sockets(L);
  spec_add_resolver(L);
  spec_add_watcher(L);
  spec_add_children(L);
  spec_add_splice(L);
  spec_add_datagrams(L);
  spec_add_tls(L);
  return 1;
}
