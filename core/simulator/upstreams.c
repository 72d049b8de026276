#include "simulator/upstreams.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/upstreams_internal.h"

/* A party takes so many bytes before it reads them. They stand for the buffers of the network. */
enum { WINDOW = 1024 * 1024 };

static void free_unused(struct upstream *upstream) {
  bool is_used = upstream->owner || upstream->is_in_turn || upstream->asked ||
                 (upstream->is_connected && !upstream->is_closed);
  if (is_used) return;
  ready_remove(&upstream->world->ready, &upstream->turn);
  buffer_free(&upstream->to_script);
  buffer_free(&upstream->from_script);
  free(upstream->tls_text);
  free(upstream);
}

/* ---- the script's side --------------------------------------------------------------------- */

static unsigned events_of(const struct upstream *upstream) {
  bool can_read = upstream->to_script || upstream->is_ended || upstream->is_broken;
  bool can_write = upstream->is_broken || buffer_bytes(upstream->from_script).length < WINDOW;
  return ((can_read ? CHANNEL_READ : 0U) | (can_write ? CHANNEL_WRITE : 0U)) & upstream->interest;
}

static void poke(struct upstream *upstream) {
  if (upstream->is_connected && !upstream->is_closed && events_of(upstream))
    ready_add(&upstream->world->ready, &upstream->turn);
}

static enum status receive(struct channel *channel, char *into, size_t capacity, size_t *length) {
  struct upstream *upstream = upstream_of_channel(channel);
  struct span there = buffer_bytes(upstream->to_script);
  if (upstream->is_broken) return STATUS_ERROR;
  if (there.length == 0) return upstream->is_ended ? STATUS_CLOSED : STATUS_AGAIN;
  *length = there.length < capacity ? there.length : capacity;
  memcpy(into, there.data, *length);
  buffer_consume(&upstream->to_script, *length);
  return STATUS_OK;
}

static enum status send_bytes(struct channel *channel, const char *bytes, size_t length,
                              size_t *sent) {
  struct upstream *upstream = upstream_of_channel(channel);
  size_t room = WINDOW - buffer_bytes(upstream->from_script).length;
  if (upstream->is_broken) return STATUS_ERROR;
  if (room == 0) return STATUS_AGAIN;
  *sent = length < room ? length : room;
  return buffer_append(&upstream->from_script, bytes, *sent) == STATUS_OK ? STATUS_OK
                                                                          : STATUS_ERROR;
}

static void watch(struct channel *channel, unsigned interest) {
  struct upstream *upstream = upstream_of_channel(channel);
  upstream->interest = interest;
  poke(upstream);
}

static void shut(struct channel *channel) { upstream_of_channel(channel)->is_shut = true; }

static void close_channel(struct channel *channel, bool reset) {
  struct upstream *upstream = upstream_of_channel(channel);
  upstream->is_closed = true;
  upstream->is_reset = reset;
  upstream->asked = NULL;
  ready_remove(&upstream->world->ready, &upstream->turn);
  free_unused(upstream);
}

static const struct channel_class simulated_class = {.receive = receive,
                                                     .send = send_bytes,
                                                     .watch = watch,
                                                     .shutdown = shut,
                                                     .close = close_channel,
                                                     .describe_tls = upstream_describe_tls};

/* ---- the network --------------------------------------------------------------------------- */

static bool is_of_tls(enum network_error error) {
  return error == NETWORK_CERTIFICATE || error == NETWORK_HANDSHAKE;
}

static void finish_connect(struct upstream *upstream) {
  struct network_connect *asked = upstream->asked;
  const struct party refusing = {.why = "connection refused", .error = NETWORK_REFUSED};
  const struct party *party = upstream->is_refused ? &refusing : upstream->party;
  if (party && party->is_silent) return;
  upstream->asked = NULL;
  asked->attempt = NULL;
  upstream->is_connected = !party || party->error == NETWORK_OK || is_of_tls(party->error);
  if (upstream->is_connected)
    asked->on_end(asked, &upstream->channel, NETWORK_OK, NULL);
  else
    asked->on_end(asked, NULL, party->error, party->why);
}

static void take_turn(struct ready *turn) {
  struct upstream *upstream = (struct upstream *)((char *)turn - offsetof(struct upstream, turn));
  struct channel_user *user = upstream->channel.user;
  upstream->is_in_turn = true;
  if (upstream->asked && upstream->tls != UPSTREAM_PLAIN)
    upstream_finish_tls(upstream);
  else if (upstream->asked)
    finish_connect(upstream);
  else if (user)
    user->on_ready(user, events_of(upstream));
  upstream->is_in_turn = false;
  poke(upstream);
  free_unused(upstream);
}

/* The first party with this address that had no connect, or the last one. NULL: nobody plays it. */
static struct party *find_party(const struct upstreams *upstreams, const char *address) {
  struct party *party = NULL;
  for (size_t i = 0; i < upstreams->party_count; i++) {
    if (strcmp(upstreams->parties[i].address, address) != 0) continue;
    party = &upstreams->parties[i];
    if (!party->is_taken) break;
  }
  return party;
}

static enum status begin_connect(struct network *network, const char *address,
                                 struct network_connect *asked, const char **why) {
  struct upstreams *upstreams = (struct upstreams *)network;
  size_t size = strlen(address) + 1;
  struct party *party = find_party(upstreams, address);
  *why = "a simulation has no network, and nobody plays this upstream; a transcript names it in a "
         "line `upstream NAME \"ADDRESS\"`, a spec calls harness.upstream(address)";
  if (!party) return STATUS_ERROR;
  *why = "this upstream has TLS, and the script connects without";
  if (party->has_tls && !asked->tls) return STATUS_ERROR;
  struct upstream *upstream = calloc(1, sizeof *upstream + size);
  if (!upstream) return STATUS_NO_MEMORY;
  memcpy(upstream->address, address, size);
  upstream->channel.class = &simulated_class;
  upstream->turn.run = take_turn;
  upstream->owner = upstreams;
  upstream->world = upstreams->world;
  upstream->asked = asked;
  upstream->party = party;
  upstream->begins_tls = asked->tls != NULL;
  party->is_taken = true;
  upstream->is_refused = ++upstreams->connects == upstreams->refused || upstreams->refuses;
  asked->attempt = upstream;
  *upstreams->end = upstream;
  upstreams->end = &upstream->next;
  ready_add(&upstreams->world->ready, &upstream->turn);
  return STATUS_OK;
}

static void cancel_connect(struct network_connect *asked) {
  struct upstream *upstream = asked->attempt;
  asked->attempt = NULL;
  if (!upstream) return;
  upstream->asked = NULL;
  upstream->is_closed = true;
  ready_remove(&upstream->world->ready, &upstream->turn);
  free_unused(upstream);
}

/* Is told in a turn of the loop. */
struct lookup {
  struct ready turn;
  struct world *world;
  struct network_resolve *asked;
  const char *address; /* NULL: the name has none. */
  char name[];
};

static void finish_lookup(struct ready *turn) {
  struct lookup *lookup = (struct lookup *)turn;
  struct network_resolve *asked = lookup->asked;
  asked->lookup = NULL;
  asked->on_end(asked, &lookup->address, lookup->address ? 1 : 0, "a simulation looks up no names");
  free(lookup);
}

/* Numbers are their own address, and names of upstreams that are played have one. */
static const char *find_address(const struct upstreams *upstreams, const char *name) {
  size_t length = strlen(name);
  if (strspn(name, "0123456789.") == length || strchr(name, ':')) return name;
  if (strcmp(name, "localhost") == 0) return "127.0.0.1";
  for (size_t i = 0; i < upstreams->party_count; i++) {
    const char *address = upstreams->parties[i].address;
    if (strncmp(address, name, length) == 0 && address[length] == ':') return "192.0.2.53";
  }
  return NULL;
}

static enum status resolve(struct network *network, const char *name,
                           struct network_resolve *asked) {
  struct upstreams *upstreams = (struct upstreams *)network;
  size_t size = strlen(name) + 1;
  struct lookup *lookup = calloc(1, sizeof *lookup + size);
  if (!lookup) return STATUS_NO_MEMORY;
  memcpy(lookup->name, name, size);
  lookup->turn.run = finish_lookup;
  lookup->world = upstreams->world;
  lookup->asked = asked;
  lookup->address = find_address(upstreams, lookup->name);
  asked->lookup = lookup;
  ready_add(&upstreams->world->ready, &lookup->turn);
  return STATUS_OK;
}

static void cancel_resolve(struct network_resolve *asked) {
  struct lookup *lookup = asked->lookup;
  asked->lookup = NULL;
  if (!lookup) return;
  ready_remove(&lookup->world->ready, &lookup->turn);
  free(lookup);
}

void upstreams_init(struct upstreams *upstreams, struct world *world) {
  *upstreams = (struct upstreams){.network = {.connect = begin_connect,
                                              .cancel_connect = cancel_connect,
                                              .prepare_tls = upstream_prepare_tls,
                                              .start_tls = upstream_start_tls,
                                              .resolve = resolve,
                                              .cancel_resolve = cancel_resolve},
                                  .world = world};
  upstreams->end = &upstreams->first;
  world->network = &upstreams->network;
}

/* ---- the party's side ---------------------------------------------------------------------- */

/* A connect that has not had its turn will succeed. A silent one that has had it never ends. */
static void forget_parties(struct upstreams *upstreams) {
  for (struct upstream *one = upstreams->first; one; one = one->next) one->party = NULL;
  for (size_t i = 0; i < upstreams->party_count; i++) {
    free(upstreams->parties[i].address);
    free(upstreams->parties[i].why);
  }
  free(upstreams->parties);
  upstreams->parties = NULL;
  upstreams->party_count = 0;
}

/* What is still open breaks. */
static void drop_all(struct upstreams *upstreams) {
  struct upstream *next;
  for (struct upstream *upstream = upstreams->first; upstream; upstream = next) {
    next = upstream->next;
    upstream->owner = NULL;
    upstream->is_broken = true;
    upstream_fail_tls(upstream, "TLS: the peer has closed the connection");
    poke(upstream);
    free_unused(upstream);
  }
  upstreams->first = NULL;
  upstreams->end = &upstreams->first;
}

void upstreams_deinit(struct upstreams *upstreams) {
  forget_parties(upstreams);
  drop_all(upstreams);
}

/* Reads the party on the top of the stack. False: there is no memory. */
static bool take_party(lua_State *L, struct party *party) {
  static const char *const codes[] = {"none",    "refused",     "unreachable", "name",
                                      "timeout", "certificate", "handshake",   NULL};
  static const enum network_error errors[] = {
      NETWORK_OK, NETWORK_REFUSED,     NETWORK_UNREACHABLE, NETWORK_NAME,
      NETWORK_OK, NETWORK_CERTIFICATE, NETWORK_HANDSHAKE};
  lua_getfield(L, -1, "address");
  lua_getfield(L, -2, "failure");
  lua_getfield(L, -3, "why");
  lua_getfield(L, -4, "tls");
  bool has_tls = lua_toboolean(L, -1);
  lua_pop(L, 1);
  const char *address = luaL_checkstring(L, -3), *why = luaL_optstring(L, -1, "");
  int code = luaL_checkoption(L, -2, "none", codes);
  *party = (struct party){.address = strdup(address),
                          .why = strdup(why),
                          .error = errors[code],
                          .has_tls = has_tls || is_of_tls(errors[code]),
                          .is_silent = strcmp(codes[code], "timeout") == 0};
  lua_pop(L, 3);
  return party->address && party->why;
}

int upstreams_play(lua_State *L, struct upstreams *upstreams) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer refused = luaL_optinteger(L, 3, 0);
  size_t count = lua_rawlen(L, 2);
  forget_parties(upstreams);
  if (!lua_toboolean(L, 4)) drop_all(upstreams);
  upstreams->connects = 0;
  upstreams->refuses = false;
  upstreams->refused = (size_t)refused;
  upstreams->handshakes = 0;
  upstreams->distrusted = (size_t)luaL_optinteger(L, 5, 0);
  upstreams->parties = calloc(count + 1, sizeof *upstreams->parties);
  if (!upstreams->parties) return luaL_error(L, "not enough memory");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    bool is_taken = take_party(L, &upstreams->parties[i]);
    upstreams->party_count++;
    if (!is_taken) return luaL_error(L, "not enough memory");
    lua_pop(L, 1);
  }
  return 0;
}

int upstreams_accept(lua_State *L, struct upstreams *upstreams) {
  lua_Integer number = 1;
  for (struct upstream *one = upstreams->first; one; one = one->next, number++) {
    bool is_there = one->is_connected && (!one->begins_tls || one->tls == UPSTREAM_TLS);
    if (one->is_accepted || !is_there) continue;
    one->is_accepted = true;
    lua_pushinteger(L, number);
    lua_pushstring(L, one->address);
    return 2;
  }
  lua_pushnil(L);
  lua_pushinteger(L, (lua_Integer)upstreams->connects);
  lua_pushinteger(L, (lua_Integer)upstreams->handshakes);
  return 3;
}

struct upstream *upstreams_check(lua_State *L, const struct upstreams *upstreams) {
  lua_Integer number = luaL_checkinteger(L, 2);
  struct upstream *upstream = upstreams->first;
  for (lua_Integer i = 1; i < number && upstream; i++) upstream = upstream->next;
  luaL_argcheck(L, number >= 1 && upstream, 2, "there is no such connection");
  return upstream;
}

int upstreams_take(lua_State *L, struct upstreams *upstreams) {
  struct upstream *upstream = upstreams_check(L, upstreams);
  struct span bytes = buffer_bytes(upstream->from_script);
  lua_pushlstring(L, bytes.data, bytes.length);
  buffer_consume(&upstream->from_script, bytes.length);
  poke(upstream);
  return 1;
}

int upstreams_send(lua_State *L, struct upstreams *upstreams) {
  size_t length;
  struct upstream *upstream = upstreams_check(L, upstreams);
  const char *bytes = luaL_checklstring(L, 3, &length);
  lua_Integer from = luaL_optinteger(L, 4, 1), to = luaL_optinteger(L, 5, (lua_Integer)length);
  luaL_argcheck(L, from >= 1 && from <= to + 1, 4, "is out of range");
  luaL_argcheck(L, to <= (lua_Integer)length, 5, "is behind the end");
  bool is_over = upstream->is_broken || upstream->is_ended || upstream->is_closed;
  if (from <= to && upstream->asked) {
    upstream_fail_tls(upstream, "TLS: the peer does not speak TLS");
    return 0;
  }
  if (!is_over &&
      buffer_append(&upstream->to_script, bytes + from - 1, (size_t)(to - from + 1)) != STATUS_OK)
    return luaL_error(L, "not enough memory");
  poke(upstream);
  return 0;
}

int upstreams_end(lua_State *L, struct upstreams *upstreams) {
  struct upstream *upstream = upstreams_check(L, upstreams);
  upstream->is_ended = true;
  upstream_fail_tls(upstream, "TLS: the peer has closed the connection");
  poke(upstream);
  return 0;
}

int upstreams_reset(lua_State *L, struct upstreams *upstreams) {
  struct upstream *upstream = upstreams_check(L, upstreams);
  upstream->is_broken = true;
  upstream_fail_tls(upstream, "TLS: the peer has closed the connection");
  poke(upstream);
  return 0;
}

int upstreams_state(lua_State *L, struct upstreams *upstreams) {
  const struct upstream *upstream = upstreams_check(L, upstreams);
  lua_pushstring(L, upstream->is_reset    ? "reset"
                    : upstream->is_closed ? "closed"
                    : upstream->is_shut   ? "shut"
                                          : "open");
  return 1;
}

const struct channel *upstreams_channel(lua_State *L, const struct upstreams *upstreams) {
  return &upstreams_check(L, upstreams)->channel;
}
