/* upstreams.h: the network of a simulation: the parties that a script connects to. A Lua program
 * plays them. Private to this room. */
#ifndef SIMULATOR_UPSTREAMS_H
#define SIMULATOR_UPSTREAMS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/network.h"

struct world;
struct upstream;
struct party;

struct upstreams {
  struct network network; /* First, so that a pointer to it points to the upstreams. */
  struct world *world;
  struct upstream *first; /* The connections of the play, in their order. */
  struct upstream **end;
  struct party *parties; /* Those that are played. */
  size_t party_count;
  size_t connects;   /* How many there were in the play. */
  size_t handshakes; /* The same for TLS. */
  size_t distrusted; /* The number of the handshake whose certificate is refused; 0: none. */
  size_t refused;    /* The number of the connect that is refused; 0: none. */
  bool refuses;      /* All further ones are refused. */
};

void upstreams_init(struct upstreams *upstreams, struct world *world);

/* The connections that scripts still have end when the scripts close them. */
void upstreams_deinit(struct upstreams *upstreams);

/* Methods of a script; see simulator.h. The script stands at index 1. */
int upstreams_play(lua_State *L, struct upstreams *upstreams);
int upstreams_accept(lua_State *L, struct upstreams *upstreams);
int upstreams_take(lua_State *L, struct upstreams *upstreams);
int upstreams_send(lua_State *L, struct upstreams *upstreams);
int upstreams_end(lua_State *L, struct upstreams *upstreams);
int upstreams_reset(lua_State *L, struct upstreams *upstreams);
int upstreams_wants_tls(lua_State *L, struct upstreams *upstreams);
int upstreams_begin_tls(lua_State *L, struct upstreams *upstreams);
int upstreams_state(lua_State *L, struct upstreams *upstreams);

/* The channel of the connection whose number stands at index 2. It may be closed already. */
const struct channel *upstreams_channel(lua_State *L, const struct upstreams *upstreams);

#endif
