/* spec_peers.c: server.peers(), counts of connections by their peers. */
#include "server/peer_rates.h"
#include "server/peers.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char class_name[] = "parlance_spec.peers";

static struct peers *check(lua_State *L) { return luaL_checkudata(L, 1, class_name); }

static int open_peers(lua_State *L) {
  struct peers *peers = lua_newuserdatauv(L, sizeof *peers, 0);
  *peers = (struct peers){0};
  luaL_setmetatable(L, class_name);
  return 1;
}

/* add(host, most): true, or a failure. */
static int add(lua_State *L) {
  struct peers *peers = check(L);
  union peer_address peer = spec_peer_address(luaL_checkstring(L, 2));
  return spec_outcome(L, peers_add(peers, &peer, (size_t)luaL_checkinteger(L, 3)));
}

static int remove_peer(lua_State *L) {
  struct peers *peers = check(L);
  union peer_address peer = spec_peer_address(luaL_checkstring(L, 2));
  peers_remove(peers, &peer);
  return 0;
}

/* size(): how many peers are remembered, and in how many places. */
static int size(lua_State *L) {
  const struct peers *peers = check(L);
  lua_pushinteger(L, (lua_Integer)peers->used);
  lua_pushinteger(L, (lua_Integer)peers->capacity);
  return 2;
}

static int close_peers(lua_State *L) {
  peers_deinit(check(L));
  return 0;
}

/* ---- rates --------------------------------------------------------------------------------- */

static const char rates_class[] = "spec.peer_rates";

static struct peer_rates **check_rates(lua_State *L) { return luaL_checkudata(L, 1, rates_class); }

/* peer_rates(most) */
static int open_rates(lua_State *L) {
  uint32_t most = (uint32_t)luaL_checkinteger(L, 1);
  struct peer_rates **rates = lua_newuserdatauv(L, sizeof(struct peer_rates *), 0);
  *rates = NULL;
  luaL_setmetatable(L, rates_class);
  *rates = peer_rates_create(most);
  return *rates ? 1 : luaL_error(L, "there is no memory");
}

/* allows(host, now): whether one more datagram is allowed. */
static int allows(lua_State *L) {
  struct peer_rates **rates = check_rates(L);
  union peer_address peer = spec_peer_address(luaL_checkstring(L, 2));
  lua_pushboolean(L, peer_rates_allow(*rates, &peer, luaL_checkinteger(L, 3)));
  return 1;
}

static int close_rates(lua_State *L) {
  struct peer_rates **rates = check_rates(L);
  peer_rates_destroy(*rates);
  *rates = NULL;
  return 0;
}

void spec_add_peers(lua_State *L) {
  static const luaL_Reg rates_methods[] = {{"allows", allows}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"add", add}, {"remove", remove_peer}, {"size", size}, {NULL, NULL}};
  arguments_add_class(L, class_name, methods, close_peers);
  lua_pushcfunction(L, open_peers);
  lua_setfield(L, -2, "peers");
  arguments_add_class(L, rates_class, rates_methods, close_rates);
  lua_pushcfunction(L, open_rates);
  lua_setfield(L, -2, "peer_rates");
}
