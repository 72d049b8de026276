/* io.resolver(poller's name, name server): a resolver with a poller and a loop of its own. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "io/poller.h"
#include "io/resolver.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char resolver_class[] = "parlance_spec.resolver";
static const char lookup_class[] = "parlance_spec.lookup";

struct spec_resolver {
  struct poller *poller;
  struct resolver *resolver;
};

/* The resolver's user value keeps a look-up alive until the callback. */
struct spec_lookup {
  struct resolver_lookup *lookup; /* NULL: the look-up has ended. */
  struct spec_lookup *victim;
  int calls;
  bool named;
  char name[256];
};

static struct spec_resolver *check_resolver(lua_State *L) {
  struct spec_resolver *self = luaL_checkudata(L, 1, resolver_class);
  luaL_argcheck(L, self->resolver, 1, "the resolver is closed");
  return self;
}

static int close_resolver(lua_State *L) {
  struct spec_resolver *self = luaL_checkudata(L, 1, resolver_class);
  resolver_destroy(self->resolver);
  poller_destroy(self->poller);
  *self = (struct spec_resolver){0};
  return 0;
}

static int open_resolver(lua_State *L) {
  const char *poller = luaL_checkstring(L, 1);
  const char *server = luaL_optstring(L, 2, NULL);
  struct spec_resolver *self = lua_newuserdatauv(L, sizeof *self, 1);
  *self = (struct spec_resolver){0};
  luaL_setmetatable(L, resolver_class);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  enum status status = poller_create(poller, &self->poller);
  if (status == STATUS_OK) status = resolver_create(self->poller, server, &self->resolver);
  if (status == STATUS_OK) return 1;
  int results = spec_failure(L, status);
  poller_destroy(self->poller);
  self->poller = NULL;
  return results;
}

static void cancel(struct spec_lookup *self) {
  if (self->lookup) resolver_lookup_cancel(self->lookup);
  self->lookup = NULL;
}

static void on_name(void *context, const char *name) {
  struct spec_lookup *self = context;
  self->calls++;
  self->lookup = NULL;
  self->named = name != NULL;
  if (name) strncat(self->name, name, sizeof self->name - 1);
  if (self->victim) cancel(self->victim);
}

static void check_address(lua_State *L, struct sockaddr_storage *address) {
  const char *text = luaL_checkstring(L, 2);
  struct sockaddr_in *in = (struct sockaddr_in *)address;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
  *address = (struct sockaddr_storage){.ss_family = AF_UNIX};
  if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
    address->ss_family = AF_INET;
  else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
    address->ss_family = AF_INET6;
}

/* resolver:lookup(address) -> lookup; an address that is not numeric is taken for a Unix one */
static int start_lookup(lua_State *L) {
  struct spec_resolver *self = check_resolver(L);
  struct sockaddr_storage address;
  check_address(L, &address);
  lua_getiuservalue(L, 1, 1);
  struct spec_lookup *lookup = lua_newuserdatauv(L, sizeof *lookup, 0);
  *lookup = (struct spec_lookup){0};
  luaL_setmetatable(L, lookup_class);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
  enum status status = resolver_lookup_start(self->resolver, (struct sockaddr *)&address, on_name,
                                             lookup, &lookup->lookup);
  return status == STATUS_OK ? 1 : spec_failure(L, status);
}

/* resolver:turn(milliseconds): one turn of a loop, which waits up to so many milliseconds */
static int turn(lua_State *L) {
  struct spec_resolver *self = check_resolver(L);
  int64_t now = clock_milliseconds();
  int64_t until = now + luaL_checkinteger(L, 2);
  int64_t deadline = resolver_deadline(self->resolver, now);
  if (deadline > until) deadline = until;
  struct poller_event events[16];
  size_t count;
  int wait = deadline > now ? (int)(deadline - now) : 0;
  enum status status = poller_wait(self->poller, wait, events, 16, &count);
  for (size_t i = 0; i < count; i++) {
    struct event_handler *event_handler = events[i].owner;
    event_handler->on_event(event_handler, events[i].events);
  }
  resolver_expire(self->resolver);
  return spec_outcome(L, status);
}

/* lookup:name() -> the name; false: there is none; nil: it is not known yet */
static int name_of_lookup(lua_State *L) {
  const struct spec_lookup *self = luaL_checkudata(L, 1, lookup_class);
  if (!self->calls) return 0;
  if (self->named)
    lua_pushstring(L, self->name);
  else
    lua_pushboolean(L, 0);
  return 1;
}

static int calls_of_lookup(lua_State *L) {
  const struct spec_lookup *self = luaL_checkudata(L, 1, lookup_class);
  lua_pushinteger(L, self->calls);
  return 1;
}

static int cancel_lookup(lua_State *L) {
  cancel(luaL_checkudata(L, 1, lookup_class));
  return 0;
}

/* lookup:cancels(other): the callback will cancel another look-up of the same resolver */
static int set_victim(lua_State *L) {
  struct spec_lookup *self = luaL_checkudata(L, 1, lookup_class);
  self->victim = luaL_checkudata(L, 2, lookup_class);
  return 0;
}

static int keep(lua_State *L) {
  (void)L;
  return 0;
}

void spec_add_resolver(lua_State *L) {
  static const luaL_Reg resolver_methods[] = {
      {"lookup", start_lookup},
      {"turn", turn},
      {"close", close_resolver},
      {NULL, NULL},
  };
  static const luaL_Reg lookup_methods[] = {
      {"name", name_of_lookup},
      {"calls", calls_of_lookup},
      {"cancel", cancel_lookup},
      {"cancels", set_victim},
      {NULL, NULL},
  };
  arguments_add_class(L, resolver_class, resolver_methods, close_resolver);
  arguments_add_class(L, lookup_class, lookup_methods, keep);
  lua_pushcfunction(L, open_resolver);
  lua_setfield(L, -2, "resolver");
}
