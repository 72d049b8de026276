#include "reload/takeover.h"

#include <lauxlib.h>
#include <stdio.h>

#include "script/ban.h"
#include "script/script_internal.h"
#include "script/task_handle.h"
#include "script/watchdog.h"

/* ---- state --------------------------------------------------------------------------------- */

struct migration {
  const struct generation *old;
  const struct generation *next;
  const char *step;
  char *names; /* Of state that is dropped. */
};

static void push_function(lua_State *state, const struct generation *generation,
                          enum function function) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->functions[function]);
}

/* `save` is not called for a version that has no `restore`: so a `save` that fails can be replaced.
 */
static bool migrates(const struct generation *old, const struct generation *next) {
  return old->functions[FUNCTION_SAVE] != LUA_NOREF &&
         next->functions[FUNCTION_RESTORE] != LUA_NOREF;
}

static int migrate_state(lua_State *state) {
  struct migration *migration = lua_touserdata(state, 1);
  push_function(state, migration->next, FUNCTION_RESTORE);
  push_function(state, migration->old, FUNCTION_SAVE);
  migration->step = "save";
  gate_of(state)->no_wait = ban_in_save;
  lua_call(state, 0, 1);
  migration->step = "restore";
  gate_of(state)->no_wait = ban_in_restore;
  watchdog_restart();
  lua_call(state, 1, 0);
  return 0;
}

bool takeover_migrate_state(struct script *script, const struct generation *next,
                            const char **step) {
  struct migration migration = {.old = script->generation, .next = next, .step = "save"};
  if (!migrates(script->generation, next)) return true;
  script->tasks.are_refused = true;
  bool is_done = gate_run(&script->gate, migrate_state, &migration) == GATE_OK;
  script->tasks.are_refused = false;
  *step = migration.step;
  return is_done;
}

/* Calls the module that compares what both versions keep. */
static int find_dropped(lua_State *state) {
  const struct migration *migration = lua_touserdata(state, 1);
  lua_getglobal(state, "require");
  lua_pushliteral(state, "parlance.lost_state");
  lua_call(state, 1, 1);
  lua_rawgeti(state, LUA_REGISTRYINDEX, migration->old->roots);
  lua_rawgeti(state, LUA_REGISTRYINDEX, migration->next->roots);
  lua_call(state, 2, 1);
  if (lua_isstring(state, -1))
    snprintf(migration->names, TAKEOVER_NAMES_MAX, "%s", lua_tostring(state, -1));
  return 0;
}

/* The names are only advice: that they cannot be found is no failure. */
void takeover_find_dropped(struct script *script, const struct generation *next,
                           char names[static TAKEOVER_NAMES_MAX]) {
  struct migration migration = {.old = script->generation, .next = next, .names = names};
  names[0] = '\0';
  if (!migrates(script->generation, next) && script->options.modules)
    (void)gate_run(&script->gate, find_dropped, &migration);
}

/* ---- generations --------------------------------------------------------------------------- */

/* The last connection has left the generation, or its last task has ended. */
static void retire(struct handler *handler) {
  struct generation *generation = (struct generation *)handler;
  struct script *script = generation->script;
  if (generation->task_count > 0) return;
  struct generation **link = &script->older;
  while (*link != generation) link = &(*link)->next;
  *link = generation->next;
  script_free_generation(script, generation);
}

void takeover_run(struct script *script, struct generation *next, int64_t now) {
  struct generation *old = script->generation;
  task_handle_cancel_background(old);
  script->generation = next;
  next->since = now;
  old->next = script->older;
  script->older = old;
  for (struct generation *one = script->older; one; one = one->next) {
    one->handler.successor = &next->handler;
    one->handler.on_unused = retire;
  }
  task_handle_begin_all(next);
}

void takeover_free_old(struct script *script) {
  struct generation *old = script->older;
  if (old->handler.sessions == 0) retire(&old->handler);
}
