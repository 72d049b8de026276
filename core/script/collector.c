#include "script/collector.h"

#include "base/clock.h"
#include "script/life.h"

enum {
  /* The first may be one that was under way, which keeps what it had met before that was given up.
   */
  CYCLES = 2,
  /* Steps of a collection: so many, and one for each so many bytes. Without them, one of a script
   * that has chosen another mode of the collector would have no end. */
  STEPS_MIN = 1000,
  STEP_BYTES = 16 * 1024,
  /* Memory goes back to the system when so many bytes have come free, and a share of all of them.
   */
  FALL_MIN = 1024 * 1024,
  FALL_SHARE = 8,
  /* That takes a ms for each MB, so that it is done for so many bytes at a time. */
  PIECE = 4 * 1024 * 1024
};

/* How long a step takes, in seconds: a request that comes meanwhile has to wait for so long. */
static const double step_time = 0.0005;

/* A script may have stopped the collector. */
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

/* Whether much has come free since it began. */
static bool is_fruitful(const struct collector *collector, size_t now) {
  size_t share = collector->used / FALL_SHARE;
  return has_fallen_by(collector->used, now, share > FALL_MIN ? share : FALL_MIN);
}

static void give_back(struct collector *collector, size_t now) {
  memory_give_back();
  collector->kept = now;
}

enum script_collection script_collect_garbage(struct script *script) {
  struct collector *collector = &script->collector;
  if (collector->cycles == 0) {
    if (!collector->is_dirty) return SCRIPT_COLLECTED_LITTLE;
    begin(collector, script->memory.used);
  }
  size_t used = script->memory.used;
  if (is_fruitful(collector, used) && has_fallen_by(collector->kept, used, PIECE)) {
    give_back(collector, used);
    return SCRIPT_COLLECTING;
  }
  (void)gate_run(&script->gate, step, collector);
  if (collector->cycles > 0 && --collector->steps_left > 0) return SCRIPT_COLLECTING;
  collector->cycles = 0;
  used = script->memory.used;
  if (!is_fruitful(collector, used)) return SCRIPT_COLLECTED_LITTLE;
  if (used < collector->kept) give_back(collector, used);
  return SCRIPT_COLLECTED_MUCH;
}
