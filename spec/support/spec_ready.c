/* spec_ready.c: server.ready(), a run queue of entries that are named by integers. */
#include "server/ready.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char class_name[] = "parlance_spec.ready";

enum { ENTRIES = 10 };

struct named_ready {
  struct ready entry; /* first, so that what comes out of the queue is the named one too */
  lua_Integer name;
};

struct named_queue {
  struct ready_queue queue;
  struct named_ready entries[ENTRIES];
};

static struct named_queue *check(lua_State *L) { return luaL_checkudata(L, 1, class_name); }

static struct ready *entry_named(lua_State *L, struct named_queue *queue) {
  lua_Integer name = luaL_checkinteger(L, 2);
  luaL_argcheck(L, name >= 0 && name < ENTRIES, 2, "is no entry");
  queue->entries[name].name = name;
  return &queue->entries[name].entry;
}

static int open_queue(lua_State *L) {
  struct named_queue *queue = lua_newuserdatauv(L, sizeof *queue, 0);
  *queue = (struct named_queue){0};
  ready_init(&queue->queue);
  luaL_setmetatable(L, class_name);
  return 1;
}

static int add(lua_State *L) {
  struct named_queue *queue = check(L);
  ready_add(&queue->queue, entry_named(L, queue));
  return 0;
}

static int remove_entry(lua_State *L) {
  struct named_queue *queue = check(L);
  ready_remove(&queue->queue, entry_named(L, queue));
  return 0;
}

/* take(): the first one's name; nil: there is none. */
static int take(lua_State *L) {
  struct ready *entry = ready_take(&check(L)->queue);
  if (!entry) return 0;
  lua_pushinteger(L, ((struct named_ready *)entry)->name);
  return 1;
}

static int count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check(L)->queue.count);
  return 1;
}

static int close_queue(lua_State *L) {
  (void)L;
  return 0;
}

int spec_open_server(lua_State *L) {
  static const luaL_Reg functions[] = {{"ready", open_queue}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"add", add}, {"remove", remove_entry}, {"take", take}, {"count", count}, {NULL, NULL}};
  arguments_add_class(L, class_name, methods, close_queue);
  luaL_newlib(L, functions);
  return 1;
}
