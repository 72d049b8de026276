#include "modules/module_datagrams.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "script/ban.h"
#include "script/datagrams.h"
#include "script/finalizers.h"
#include "script/script_internal.h"
#include "script/task.h"

static const char class_name[] = "parlance.datagrams";

enum {
  AT_ONCE_MAX = 64 /* Datagrams that are received one after the other before others have a turn. */
};

static struct datagrams *check(lua_State *state, int index) {
  struct datagrams *datagrams = *(struct datagrams **)luaL_checkudata(state, index, class_name);
  if (!datagrams) luaL_error(state, "the socket was collected");
  return datagrams;
}

static int push_failure(lua_State *state, const char *why) {
  lua_pushnil(state);
  lua_pushstring(state, why);
  return 2;
}

static int push_result(lua_State *state, enum status status, const char *why) {
  if (status != STATUS_OK) return push_failure(state, why);
  lua_pushboolean(state, true);
  return 1;
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* Notes when the call gives up that begins now. Its seconds are at index; 0: there is no limit. */
static void set_until(lua_State *state, struct datagrams *datagrams,
                      enum datagrams_direction direction, int index) {
  int64_t ms = task_check_seconds(state, index);
  datagrams->waits[direction].until = ms > 0 ? script_now(datagrams->script) + ms : CLOCK_NEVER;
}

static void check_free(lua_State *state, const struct datagrams *datagrams,
                       enum datagrams_direction direction) {
  static const char *const texts[] = {"another task receives from the socket",
                                      "another task sends to the socket"};
  if (datagrams->waits[direction].task) luaL_error(state, "%s", texts[direction]);
}

static bool is_over(const struct datagrams *datagrams, enum datagrams_direction direction) {
  int64_t until = datagrams->waits[direction].until;
  return until != CLOCK_NEVER && script_now(datagrams->script) >= until;
}

static void undo_wait(struct task *task) {
  struct datagrams *datagrams = task->waits_for;
  for (int i = 0; i < DATAGRAMS_DIRECTIONS; i++)
    if (datagrams->waits[i].task == task)
      datagrams_end_wait(datagrams, (enum datagrams_direction)i);
}

static int wait_for(lua_State *state, struct datagrams *datagrams, struct task *task,
                    enum datagrams_direction direction, lua_KFunction again) {
  int64_t until = datagrams->waits[direction].until;
  if (until != CLOCK_NEVER) task_set_timeout(state, task, until - script_now(datagrams->script));
  task->waits_for = datagrams;
  datagrams_await(datagrams, direction, task);
  return task_wait_then(state, task, undo_wait, again);
}

/* The socket is at index 1. */
static struct datagrams *end_wait(lua_State *state, enum datagrams_direction direction) {
  struct datagrams *datagrams = *(struct datagrams **)lua_touserdata(state, 1);
  datagrams_end_wait(datagrams, direction);
  task_check_cancel(state);
  return datagrams;
}

/* ---- receiving ----------------------------------------------------------------------------- */

static int receive_again(lua_State *state, int status, lua_KContext context);

/* What keeps coming must not keep others waiting. */
static enum status take(struct datagrams *datagrams, char *into, size_t capacity, size_t *length,
                        struct datagrams_address *from, const char **why) {
  if (datagrams->at_once == AT_ONCE_MAX) return STATUS_AGAIN;
  enum status status =
      datagrams->class->receive(datagrams->channel, into, capacity, length, from, why);
  if (status != STATUS_AGAIN) datagrams->at_once++;
  return status;
}

static int receive_on(lua_State *state, struct datagrams *datagrams, struct task *task) {
  char bytes[DATAGRAM_MAX];
  struct datagrams_address from;
  size_t length, capacity = (size_t)lua_tointeger(state, 2);
  const char *why;
  if (!datagrams->channel) return push_failure(state, "closed");
  switch (take(datagrams, bytes, capacity, &length, &from, &why)) {
  case STATUS_OK:
    lua_pushlstring(state, bytes, length);
    lua_pushstring(state, from.host);
    lua_pushinteger(state, from.port);
    return 3;
  case STATUS_AGAIN: break;
  default: return push_failure(state, why);
  }
  if (is_over(datagrams, DATAGRAMS_RECEIVES)) return push_failure(state, "timeout");
  return wait_for(state, datagrams, task, DATAGRAMS_RECEIVES, receive_again);
}

static int receive_again(lua_State *state, int status, lua_KContext context) {
  struct datagrams *datagrams = end_wait(state, DATAGRAMS_RECEIVES);
  (void)status;
  (void)context;
  datagrams->at_once = 0;
  return receive_on(state, datagrams, gate_of(state)->running);
}

/* socket:receive(capacity, seconds): the datagram, its host and its port. */
static int receive(lua_State *state) {
  struct datagrams *datagrams = check(state, 1);
  lua_Integer capacity = luaL_checkinteger(state, 2);
  luaL_argcheck(state, capacity >= 0 && capacity <= DATAGRAM_MAX, 2, "out of range");
  lua_settop(state, 3);
  struct task *task = task_begin_wait(state, "receive");
  if (!task) return 3;
  check_free(state, datagrams, DATAGRAMS_RECEIVES);
  set_until(state, datagrams, DATAGRAMS_RECEIVES, 3);
  return receive_on(state, datagrams, task);
}

/* ---- sending ------------------------------------------------------------------------------- */

static int send_again(lua_State *state, int status, lua_KContext context);

/* A datagram that can be sent at once is sent wherever the script runs. */
static int send_on(lua_State *state, struct datagrams *datagrams) {
  struct span datagram;
  const char *why;
  if (!datagrams->channel) return push_failure(state, "closed");
  datagram.data = lua_tolstring(state, 2, &datagram.length);
  enum status sent = datagrams->class->send(datagrams->channel, lua_tostring(state, 4),
                                            (unsigned)lua_tointeger(state, 5), datagram, &why);
  if (sent != STATUS_AGAIN) return push_result(state, sent, why);
  if (is_over(datagrams, DATAGRAMS_SENDS)) return push_failure(state, "timeout");
  struct task *task = task_begin_wait(state, "send");
  if (!task) return 3;
  return wait_for(state, datagrams, task, DATAGRAMS_SENDS, send_again);
}

static int send_again(lua_State *state, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return send_on(state, end_wait(state, DATAGRAMS_SENDS));
}

static unsigned check_port(lua_State *state, int index) {
  lua_Integer port = luaL_optinteger(state, index, 0);
  luaL_argcheck(state, port >= 0 && port <= 65535, index, "must be a port from 0 to 65535");
  return (unsigned)port;
}

/* socket:send(datagram, seconds [, host, port]) */
static int send_datagram(lua_State *state) {
  struct datagrams *datagrams = check(state, 1);
  luaL_checkstring(state, 2);
  luaL_optstring(state, 4, NULL);
  (void)check_port(state, 5);
  lua_settop(state, 5);
  ban_check(state, "send");
  check_free(state, datagrams, DATAGRAMS_SENDS);
  set_until(state, datagrams, DATAGRAMS_SENDS, 3);
  return send_on(state, datagrams);
}

/* ---- either -------------------------------------------------------------------------------- */

static enum datagrams_direction direction_of(lua_State *state) {
  return lua_toboolean(state, 2) ? DATAGRAMS_SENDS : DATAGRAMS_RECEIVES;
}

static int await_again(lua_State *state, int status, lua_KContext context) {
  (void)status;
  (void)context;
  (void)end_wait(state, direction_of(state));
  return 0;
}

/* socket:await(sends): returns when it can be received, or sent, without waiting. */
static int await(lua_State *state) {
  struct datagrams *datagrams = check(state, 1);
  enum datagrams_direction direction = direction_of(state);
  lua_settop(state, 2);
  struct task *task = task_begin_wait(state, "select");
  if (!task) return 3;
  check_free(state, datagrams, direction);
  if (!datagrams->channel) return 0;
  datagrams->waits[direction].until = CLOCK_NEVER;
  return wait_for(state, datagrams, task, direction, await_again);
}

/* ---- addresses and options ----------------------------------------------------------------- */

/* socket:bind(host, port) */
static int bind_socket(lua_State *state) {
  struct datagrams *datagrams = check(state, 1);
  const char *host = luaL_checkstring(state, 2), *why = NULL;
  unsigned port = check_port(state, 3);
  if (!datagrams->channel) return push_failure(state, "closed");
  enum status status = datagrams->class->bind(datagrams->channel, host, port, &why);
  return push_result(state, status, why);
}

/* socket:connect([host, port]) */
static int connect_socket(lua_State *state) {
  struct datagrams *datagrams = check(state, 1);
  const char *host = luaL_optstring(state, 2, NULL), *why = NULL;
  unsigned port = check_port(state, 3);
  if (!datagrams->channel) return push_failure(state, "closed");
  enum status status = datagrams->class->connect(datagrams->channel, host, port, &why);
  return push_result(state, status, why);
}

static int push_address(lua_State *state, enum channel_end end) {
  const struct datagrams *datagrams = check(state, 1);
  struct datagrams_address address;
  if (!datagrams->channel || !datagrams->class->address(datagrams->channel, end, &address))
    return 0;
  lua_pushstring(state, address.host);
  lua_pushinteger(state, address.port);
  return 2;
}

/* socket:own_address(), socket:peer_address(): host and port, or nothing. */
static int own_address(lua_State *state) { return push_address(state, CHANNEL_OWN_END); }
static int peer_address(lua_State *state) { return push_address(state, CHANNEL_PEER); }

/* socket:set_option(name, number): whether it has it. */
static int set_option(lua_State *state) {
  struct datagrams *datagrams = check(state, 1);
  const char *name = luaL_checkstring(state, 2);
  int value = (int)luaL_checkinteger(state, 3);
  lua_pushboolean(state, datagrams->channel && datagrams->class->set_option(
                                                   datagrams->channel, name, value) == STATUS_OK);
  return 1;
}

/* socket:get_option(name): the number, or nothing. */
static int get_option(lua_State *state) {
  const struct datagrams *datagrams = check(state, 1);
  const char *name = luaL_checkstring(state, 2);
  int value = 0;
  if (!datagrams->channel ||
      datagrams->class->get_option(datagrams->channel, name, &value) != STATUS_OK)
    return 0;
  lua_pushinteger(state, value);
  return 1;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int close_socket(lua_State *state) {
  datagrams_close(check(state, 1));
  return 0;
}

/* A script may have got hold of this function and call it itself. */
static int collect(lua_State *state) {
  struct datagrams **value = luaL_checkudata(state, 1, class_name);
  struct datagrams *datagrams = *value;
  if (!datagrams) return 0;
  if (!finalizers_are_running(state)) {
    datagrams_close(datagrams);
    return 0;
  }
  *value = NULL;
  datagrams_free(datagrams);
  return 0;
}

/* What is simulated must do no harm. */
static struct network *check_network(lua_State *state) {
  struct network *network = script_of_state(state)->world->network;
  if (!network || !network->datagrams)
    luaL_error(state, "a simulated script would open a socket for datagrams");
  return network;
}

/* may_own(): whether a socket that is made now belongs to a task. What is made while the script is
 * loaded belongs to the script. */
static int may_own(lua_State *state) {
  const struct gate *gate = gate_of(state);
  lua_pushboolean(state, gate->running && gate->no_wait != ban_while_loading &&
                             gate->no_wait != ban_in_restore);
  return 1;
}

/* open(family, is_owned) */
static int open_socket(lua_State *state) {
  static const char *const families[] = {
      [DATAGRAMS_IPV4] = "inet", [DATAGRAMS_IPV6] = "inet6", NULL};
  enum datagrams_family family = (enum datagrams_family)luaL_checkoption(state, 1, NULL, families);
  struct task *task = lua_toboolean(state, 2) ? gate_of(state)->running : NULL;
  struct channel *channel;
  const char *why = "";
  ban_check(state, "socket.udp");
  struct datagrams **value = lua_newuserdatauv(state, sizeof *value, 0);
  *value = NULL;
  luaL_setmetatable(state, class_name);
  struct network *network = check_network(state);
  *value = datagrams_create(script_of_state(state));
  if (!*value) return gate_raise_no_memory(state);
  enum status status = network->datagrams->open(network, family, &channel, &why);
  if (status == STATUS_NO_MEMORY) return gate_raise_no_memory(state);
  if (status != STATUS_OK) return push_failure(state, why);
  datagrams_open(*value, network->datagrams, channel);
  if (task) owned_give(&(*value)->owned, &task->owned);
  return 1;
}

int module_datagrams_open(lua_State *state) {
  static const luaL_Reg functions[] = {{"may_own", may_own}, {"open", open_socket}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"receive", receive},
                                     {"send", send_datagram},
                                     {"await", await},
                                     {"bind", bind_socket},
                                     {"connect", connect_socket},
                                     {"own_address", own_address},
                                     {"peer_address", peer_address},
                                     {"set_option", set_option},
                                     {"get_option", get_option},
                                     {"close", close_socket},
                                     {NULL, NULL}};
  luaL_newmetatable(state, class_name);
  lua_pushcfunction(state, collect);
  lua_setfield(state, -2, "__gc");
  luaL_newlib(state, methods);
  lua_setfield(state, -2, "__index");
  lua_pop(state, 1);
  luaL_newlib(state, functions);
  return 1;
}
