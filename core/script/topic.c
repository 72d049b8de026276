#include "script/topic.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#include "script/ban.h"
#include "script/client.h"
#include "script/push.h"
#include "script/subscriptions.h"
#include "session/datagram.h"

static const char class_name[] = "parlance.topic";

/* The registry's key of a table that has the topics by name. Its values are weak. */
static const char topics_key;

/* A userdata. While it has subscribers, it is in the registry. */
struct topic {
  struct subscribers subscribers;
  int reference; /* In the registry; LUA_NOREF: it has no subscribers. */
  bool drops;    /* A connection that cannot take a message misses it, and is not closed. */
};

/* The topic at index 1. */
static struct topic *check(lua_State *state) { return luaL_checkudata(state, 1, class_name); }

static void release_if_empty(lua_State *state, struct topic *topic) {
  if (topic->subscribers.first) return;
  luaL_unref(state, LUA_REGISTRYINDEX, topic->reference);
  topic->reference = LUA_NOREF;
}

static void drop(struct script *script, struct subscription *subscription) {
  struct topic *topic = subscription->topic;
  subscriptions_remove(&script->subscriptions, &topic->subscribers, subscription);
  release_if_empty(script->gate.main, topic);
}

void topic_forget(struct script *script, struct session *session) {
  struct subscription *subscription;
  while ((subscription = session_attachment(session))) drop(script, subscription);
}

/* Whether the session subscribes, or has already. The topic is in the registry. */
static bool add(lua_State *state, struct script *script, struct topic *topic,
                struct session *session) {
  if (!session || !session_takes_pushes(session)) return false;
  if (subscriptions_find(&script->subscriptions, topic, session)) return true;
  if (subscriptions_add(&script->subscriptions, topic, &topic->subscribers, session)) return true;
  release_if_empty(state, topic);
  return gate_raise_no_memory(state);
}

/* topic:subscribe(self) */
static int subscribe(lua_State *state) {
  ban_check(state, "subscribe");
  struct topic *topic = check(state);
  luaL_checktype(state, 2, LUA_TTABLE);
  lua_settop(state, 2);
  const struct session *session = client_session(state, 2);
  if (session && session_is_datagram(session))
    luaL_error(state, "subscribe: a datagram has no connection that could be sent to later");
  lua_pushvalue(state, 1);
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  /* Finalizers may have subscribed before this line. After it, nothing allocates in Lua. */
  if (topic->reference == LUA_NOREF)
    topic->reference = reference;
  else
    luaL_unref(state, LUA_REGISTRYINDEX, reference);
  bool is_subscribed = add(state, script_of_state(state), topic, client_session(state, 2));
  release_if_empty(state, topic);
  return push_give_result(state, is_subscribed ? PUSH_QUEUED : PUSH_OVER);
}

/* topic:unsubscribe(self) */
static int unsubscribe(lua_State *state) {
  struct script *script = script_of_state(state);
  struct topic *topic = check(state);
  luaL_checktype(state, 2, LUA_TTABLE);
  struct session *session = client_session(state, 2);
  struct subscription *subscription =
      session ? subscriptions_find(&script->subscriptions, topic, session) : NULL;
  if (subscription) drop(script, subscription);
  lua_pushboolean(state, subscription != NULL);
  return 1;
}

/* Queues the blob for all subscribers. Runs nothing of the script, and changes no list: who is to
 * be closed is closed in a later turn. */
static lua_Integer push_to_all(struct topic *topic, struct blob *blob, int64_t now) {
  lua_Integer count = 0;
  for (struct subscription *one = topic->subscribers.first; one; one = one->next) {
    enum push_result result = session_push_blob(one->session, blob, now);
    if (result == PUSH_QUEUED) count++;
    if (result == PUSH_FULL && !topic->drops) session_close_slow(one->session);
  }
  return count;
}

/* topic:publish(data, ...). The topic is looked at when the bytes are made, which may run anything.
 */
static int publish(lua_State *state) {
  struct script *script = script_of_state(state);
  ban_check(state, "publish");
  struct topic *topic = check(state);
  struct span bytes = push_encode(state, script, 2, "publish");
  const struct generation *generation = script_running(script);
  size_t most = generation ? generation->handler.limits.max_unsent : SIZE_MAX;
  if (bytes.length > most)
    return luaL_error(state, "publish: the message has %I bytes, and max_unsent is %I",
                      (LUAI_UACINT)bytes.length, (LUAI_UACINT)most);
  lua_Integer count = 0;
  if (topic->subscribers.first) {
    struct blob *blob = blob_create(bytes.data, bytes.length);
    if (!blob) return gate_raise_no_memory(state);
    count = push_to_all(topic, blob, script_now(script));
    blob_release(blob);
  }
  lua_pushinteger(state, count);
  return 1;
}

/* tostring(topic) */
static int describe(lua_State *state) {
  (void)check(state);
  lua_getiuservalue(state, 1, 1);
  lua_pushfstring(state, "topic: %s", lua_tostring(state, -1));
  return 1;
}

/* Reads the options at index 2: { slow = "close" or "drop" }. Returns whether there are some. */
static bool read_options(lua_State *state, bool *drops) {
  static const char *const words[] = {"close", "drop", NULL};
  bool is_given = false;
  if (lua_isnoneornil(state, 2)) return false;
  luaL_checktype(state, 2, LUA_TTABLE);
  for (lua_pushnil(state); lua_next(state, 2); lua_pop(state, 1)) {
    bool is_slow =
        lua_type(state, -2) == LUA_TSTRING && strcmp(lua_tostring(state, -2), "slow") == 0;
    if (!is_slow)
      luaL_argerror(
          state, 2,
          lua_pushfstring(state, "there is no option %s", luaL_tolstring(state, -2, NULL)));
    if (lua_type(state, -1) != LUA_TSTRING) luaL_argerror(state, 2, "slow must be a string");
    const char *word = lua_tostring(state, -1);
    *drops = strcmp(word, words[1]) == 0;
    if (!*drops && strcmp(word, words[0]) != 0)
      luaL_argerror(state, 2, "slow must be \"close\" or \"drop\"");
    is_given = true;
  }
  return is_given;
}

/* Pushes the topic with the name at index 1, which is made if it is not there. */
static struct topic *push_topic(lua_State *state) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &topics_key);
  lua_pushvalue(state, 1);
  if (lua_rawget(state, -2) == LUA_TUSERDATA) return lua_touserdata(state, -1);
  lua_pop(state, 1);
  struct topic *topic = lua_newuserdatauv(state, sizeof *topic, 1);
  *topic = (struct topic){.reference = LUA_NOREF};
  luaL_setmetatable(state, class_name);
  lua_pushvalue(state, 1);
  lua_setiuservalue(state, -2, 1);
  lua_pushvalue(state, 1);
  lua_pushvalue(state, -2);
  lua_rawset(state, -4);
  return topic;
}

/* parlance.topic(name, options) */
static int topic(lua_State *state) {
  bool drops = false;
  luaL_checktype(state, 1, LUA_TSTRING);
  bool is_given = read_options(state, &drops);
  struct topic *topic = push_topic(state);
  if (is_given) topic->drops = drops;
  return 1;
}

static void add_class(lua_State *state) {
  static const luaL_Reg methods[] = {
      {"subscribe", subscribe}, {"unsubscribe", unsubscribe}, {"publish", publish}, {NULL, NULL}};
  luaL_newmetatable(state, class_name);
  luaL_newlib(state, methods);
  lua_setfield(state, -2, "__index");
  lua_pushcfunction(state, describe);
  lua_setfield(state, -2, "__tostring");
  lua_pop(state, 1);
}

void topic_install(lua_State *state) {
  add_class(state);
  lua_newtable(state);
  lua_createtable(state, 0, 1);
  lua_pushliteral(state, "v");
  lua_setfield(state, -2, "__mode");
  lua_setmetatable(state, -2);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &topics_key);
  lua_pushcfunction(state, topic);
  lua_setfield(state, -2, "topic");
}
