/* When Lua's garbage is collected: in small steps while nobody waits (script_collect_garbage()),
 * and not during work that everybody waits for, or a play (script_rest_collector(),
 * script_begin_rest()). */
#include "base/clock.h"
#include "script/script_internal.h"

enum {
  /* Cycles of Lua's collector in a collection. The first cycle may have begun before, and keeps the
   * objects that it had marked by then. */
  CYCLES = 2,
  /* A collection has STEPS_MIN steps and one for each STEP_BYTES bytes in use. Without this limit,
   * it might not end if a script has chosen another mode of the collector. */
  STEPS_MIN = 1000,
  STEP_BYTES = 16 * 1024,
  /* Memory is returned to the system if at least FALL_MIN bytes, and the FALL_SHARE-th part of all
   * bytes, were freed. */
  FALL_MIN = 1024 * 1024,
  FALL_SHARE = 8,
  /* Returning memory takes 1 ms for each MB, so that it is done after so many bytes were freed. */
  PIECE = 4 * 1024 * 1024,
  /* The KiB that may be allocated before Lua's collector ends a rest. A new version of 200 lines
   * takes 25. */
  REST = 64
};

/* The seconds that a step takes. A request that comes in the meantime waits for so long. */
static const double step_time = 0.0005;

/* Ends the collection if the script has stopped Lua's collector. */
static int step(lua_State *state) {
  struct collector *collector = lua_touserdata(state, 1);
  double end = clock_seconds() + step_time;
  if (!lua_gc(state, LUA_GCISRUNNING)) collector->cycles = 0;
  while (collector->cycles > 0) {
    if (lua_gc(state, LUA_GCSTEP, 0)) collector->cycles--;
    if (clock_seconds() >= end) break;
  }
  return 0;
}

static void begin(struct collector *collector, size_t used) {
  *collector = (struct collector){
      .cycles = CYCLES, .steps_left = STEPS_MIN + used / STEP_BYTES, .used = used, .kept = used};
}

static bool has_fallen_by(size_t before, size_t now, size_t least) {
  return now < before && before - now >= least;
}

/* Whether much memory was freed since the collection began. */
static bool is_useful(const struct collector *collector, size_t now) {
  size_t share = collector->used / FALL_SHARE;
  return has_fallen_by(collector->used, now, share > FALL_MIN ? share : FALL_MIN);
}

static void return_memory(struct collector *collector, size_t now) {
  memory_return_to_system();
  collector->kept = now;
}

/* ---- rest ---------------------------------------------------------------------------------- */

/* The collector rests below so many bytes. */
enum { REST_MOST = 64 * 1024 * 1024 };

/* Without finalizers nobody can tell when garbage is collected. Then it is done when this many
 * bytes, and half of all, may be garbage. */
enum { GARBAGE_MIN = 1024 * 1024 };

static struct script *of_memory(struct memory *memory) {
  return (struct script *)((char *)memory - offsetof(struct script, memory));
}

/* Allocates nothing, and cannot raise: it may be called from within an allocation. */
static void end_rest(struct memory *memory) {
  if (memory_end_rest(memory)) lua_gc(of_memory(memory)->gate.main, LUA_GCRESTART);
}

/* A script may have stopped the collector itself. */
void script_begin_rest(struct script *script) {
  lua_State *state = script->gate.main;
  script->tasks.failures = script->gate.notices = (struct log_limit){0}; /* Each play logs all. */
  if (!lua_gc(state, LUA_GCISRUNNING)) return;
  if (memory_begin_rest(&script->memory, REST_MOST, end_rest)) lua_gc(state, LUA_GCSTOP);
}

static int collect(lua_State *state) {
  lua_gc(state, LUA_GCCOLLECT);
  return 0;
}

size_t script_memory(struct script *script, bool collects) {
  if (collects) (void)gate_run(&script->gate, collect, script);
  return script->memory.used;
}

void script_end_rest(struct script *script) {
  size_t used = script->memory.used;
  bool has_garbage = used / 2 >= script->collected && used - script->collected >= GARBAGE_MIN;
  end_rest(&script->memory);
  bool has_finalizers = script->gate.has_finalizers || script->streams;
  if (!has_finalizers && !has_garbage) return;
  script->collected = script_memory(script, true);
}

/* ---- collecting while nobody waits --------------------------------------------------------- */

enum idle_work script_collect_garbage(struct script *script) {
  struct collector *collector = &script->collector;
  if (collector->cycles == 0) {
    if (!collector->is_dirty) return IDLE_WORK_USELESS;
    begin(collector, script->memory.used);
  }
  size_t used = script->memory.used;
  if (is_useful(collector, used) && has_fallen_by(collector->kept, used, PIECE)) {
    return_memory(collector, used);
    return IDLE_WORK_LEFT;
  }
  (void)gate_run(&script->gate, step, collector);
  if (collector->cycles > 0 && --collector->steps_left > 0) return IDLE_WORK_LEFT;
  collector->cycles = 0;
  used = script->memory.used;
  if (!is_useful(collector, used)) return IDLE_WORK_USELESS;
  if (used < collector->kept) return_memory(collector, used);
  return IDLE_WORK_USEFUL;
}

/* A negative step makes the collector wait for so many KiB more. LUA_GCRESTART ends an earlier rest
 * first, so that rests do not add up. */
void script_rest_collector(struct script *script) {
  lua_State *state = script->gate.main;
  if (!lua_gc(state, LUA_GCISRUNNING)) return;
  lua_gc(state, LUA_GCRESTART);
  lua_gc(state, LUA_GCSTEP, -REST);
}
