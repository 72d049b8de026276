/* spec_timer.c: base.timers(), a heap of timers, each named by an integer. */
#include "base/timer.h"
#include "simulator/arguments.h"
#include "spec_module.h"

static const char timers_class[] = "parlance_spec.timers";

struct named_timer {
  struct timer timer; /* First, so that a pointer to it points to the struct. */
  lua_Integer name;
};

static struct timer_heap *check_timers(lua_State *L) { return luaL_checkudata(L, 1, timers_class); }

static int open_timers(lua_State *L) {
  timer_heap_init(lua_newuserdatauv(L, sizeof(struct timer_heap), 1));
  lua_newtable(L); /* name -> timer */
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, timers_class);
  return 1;
}

static int close_timers(lua_State *L) {
  timer_heap_deinit(check_timers(L));
  return 0;
}

/* The timer of the name at index 2; it lives as long as the heap. */
static struct named_timer *find_timer(lua_State *L) {
  lua_Integer name = luaL_checkinteger(L, 2);
  lua_getiuservalue(L, 1, 1);
  if (lua_rawgeti(L, -1, name) == LUA_TNIL) {
    struct named_timer *made = lua_newuserdatauv(L, sizeof *made, 0);
    *made = (struct named_timer){.name = name};
    lua_rawseti(L, -3, name);
    lua_rawgeti(L, -2, name);
  }
  return lua_touserdata(L, -1);
}

static int set_timer(lua_State *L) {
  struct timer_heap *heap = check_timers(L);
  int64_t when = luaL_checkinteger(L, 3);
  return spec_outcome(L, timer_set(heap, &find_timer(L)->timer, when));
}

static int cancel_timer(lua_State *L) {
  struct timer_heap *heap = check_timers(L);
  timer_cancel(heap, &find_timer(L)->timer);
  return 0;
}

/* timers:next() -> a time, or nil for never */
static int next_timer(lua_State *L) {
  int64_t next = timer_next(check_timers(L));
  if (next == CLOCK_NEVER) return 0;
  lua_pushinteger(L, next);
  return 1;
}

/* timers:take(now) -> the name of a timer that is due, or nil */
static int take_timer(lua_State *L) {
  struct timer_heap *heap = check_timers(L);
  struct timer *timer = timer_take_due(heap, luaL_checkinteger(L, 2));
  if (!timer) return 0;
  lua_pushinteger(L, ((struct named_timer *)timer)->name);
  return 1;
}

static const luaL_Reg timers_methods[] = {
    {"set", set_timer},   {"cancel", cancel_timer}, {"next", next_timer},
    {"take", take_timer}, {"close", close_timers},  {NULL, NULL},
};

void spec_add_timers(lua_State *L) {
  arguments_add_class(L, timers_class, timers_methods, close_timers);
  lua_pushcfunction(L, open_timers);
  lua_setfield(L, -2, "timers");
}
