/* spec_server.c: server.ready(), a run queue of entries that are named by integers, and
 * server.transcript(), the text of a transcript. */
#include "base/buffer.h"
#include "base/ready.h"
#include "server/transcript.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char class_name[] = "parlance_spec.ready";

enum { ENTRIES = 10 };

struct named_ready {
  struct ready entry; /* First, so that a pointer to it points to the struct. */
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

/* take(): the name of the first entry; nil: the queue is empty. */
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

/* ---- transcript ---------------------------------------------------------------------------- */

/* transcript(parts): the text of a list of lines, { wait = ms }, { time = ms } and { side, bytes };
 * nil when there was no memory for it. */
static int transcript(lua_State *L) {
  struct transcript out = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  for (lua_Integer i = 1; lua_rawgeti(L, 1, i) != LUA_TNIL; i++) {
    if (lua_isstring(L, -1)) {
      transcript_line(&out, lua_tostring(L, -1));
    } else if (lua_getfield(L, -1, "wait") != LUA_TNIL) {
      transcript_wait(&out, lua_tointeger(L, -1));
    } else if (lua_getfield(L, -2, "time") != LUA_TNIL) {
      transcript_time(&out, lua_tointeger(L, -1));
    } else {
      struct span bytes;
      lua_rawgeti(L, -3, 1);
      lua_rawgeti(L, -4, 2);
      bytes.data = lua_tolstring(L, -1, &bytes.length);
      transcript_bytes(&out, lua_tostring(L, -2), bytes);
    }
    lua_settop(L, 1);
  }
  struct span text = buffer_bytes(out.text);
  if (out.is_incomplete)
    lua_pushnil(L);
  else
    lua_pushlstring(L, text.length > 0 ? text.data : "", text.length);
  buffer_free(&out.text);
  return 1;
}

int spec_open_server(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"ready", open_queue}, {"transcript", transcript}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"add", add}, {"remove", remove_entry}, {"take", take}, {"count", count}, {NULL, NULL}};
  arguments_add_class(L, class_name, methods, close_queue);
  luaL_newlib(L, functions);
  spec_add_peers(L);
  return 1;
}
