#include "reload/reload.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "reload/precompile.h"
#include "reload/reload_log.h"
#include "reload/takeover.h"
#include "reload/version.h"
#include "script/script_internal.h"
#include "script/task_handle.h"

/* The ms for which a file may be missing while it is being replaced. */
enum { PATIENCE = 500 };

/* An unexpected version is not the one that was checked. If the same one is met 3 times in a row,
 * it is refused. If another one is met each time, that is logged after 10 s. */
enum { UNEXPECTED_MAX = 3, UNEXPECTED_TIME = 10000 };

/* The reload of a script. It is a userdata of the script's Lua state. */
struct reload {
  struct sources refused; /* The files of the last version that was refused; empty: none was. */
  struct sources checked; /* The serving and refused files and the transcripts, before the check. */
  size_t transcripts;     /* How many transcripts that check has. */
  int64_t checked_since;  /* When the changes were found that are checked, in ms. */
  struct unexpected {
    uint64_t fingerprint; /* The fingerprint of the last unexpected version. */
    unsigned count;       /* How often in a row it was met. */
    int64_t since;        /* When the first of a row was met, in ms; 0: none was. */
  } unexpected;
  int64_t missing_since;         /* When a file was first missing, in ms; 0: none is. */
  bool has_logged_retry;         /* log_and_retry() has logged since the last takeover or undo. */
  struct precompile *precompile; /* The version that is being compiled, or NULL. */
  struct precompile *spent;      /* The version before, whose thread may still be in wake(). */
  bool is_forced;                /* The compiled version takes over even if no file has changed. */
  double began;                /* clock_seconds() when the loop last began to wait for a reload. */
  double longest;              /* The longest time that it has waited, in seconds. */
  void (*wake)(void *context); /* See reload_set_wake(). */
  void *wake_context;
};

/* The result of make_version(). */
enum attempt_result {
  ATTEMPT_READY,     /* The version may take over. */
  ATTEMPT_FAILED,    /* The version is not valid. */
  ATTEMPT_EARLY,     /* The version does without a file that may come back. */
  ATTEMPT_REJECTED,  /* The check of the version has failed. */
  ATTEMPT_UNEXPECTED /* The version is not the one that was checked. */
};

/* One reload, from the files that were read to the takeover. */
struct attempt {
  struct script *script;
  const struct reload_finding *finding;     /* NULL: no check is needed. */
  const struct precompile_result *compiled; /* NULL: there was no memory. */
  bool is_forced;
  int64_t now;             /* In ms. */
  struct generation *next; /* The version, if the result is ATTEMPT_READY. */
  struct sources sources;  /* The files of the version, if the result is another one. */
  const char *step;        /* The step that is being done, for the log. */
  const char *detail;      /* Why the step has failed, for the log. */
};

/* ---- the files ----------------------------------------------------------------------------- */

/* Tells whether the files are neither those that serve nor those that were refused. It compares
 * digests, unless `compiled` has the answer already. */
static bool is_worth_trying(struct script *script, const struct precompile_result *compiled) {
  struct reload *reload = script->reload;
  bool is_refused = compiled ? compiled->is_refused
                             : reload->refused.count > 0 && !sources_changed(&reload->refused);
  bool has_changed = !is_refused && (compiled ? compiled->changed > 0
                                              : sources_changed(script->generation->sources));
  if (has_changed) return true;
  reload->missing_since = 0;
  reload->unexpected = (struct unexpected){0};
  reload->has_logged_retry = false;
  if (!is_refused && reload->refused.count > 0) {
    sources_deinit(&reload->refused);
    reload_log_undone(script);
  }
  return false;
}

/* A file that is being replaced may be missing for a moment. */
static bool may_come_back(struct reload *reload, int64_t now) {
  if (reload->missing_since == 0) reload->missing_since = now;
  return now - reload->missing_since < PATIENCE;
}

static bool waits_for_file(struct script *script, bool is_forced, int64_t now) {
  if (is_forced) return false;
  if (sources_have_lost_file(script->generation->sources))
    return may_come_back(script->reload, now);
  script->reload->missing_since = 0;
  return false;
}

/* Tells whether the version does without an optional module that is just being replaced. Such a
 * version is valid, but it is not the one that its author wants. */
static bool is_early(const struct attempt *attempt, const struct generation *next) {
  const struct script *script = attempt->script;
  return !attempt->is_forced && sources_lack_file_of(next->sources, script->generation->sources) &&
         may_come_back(script->reload, attempt->now);
}

/* ---- refusing ------------------------------------------------------------------------------ */

static void log_failed(const struct attempt *attempt) {
  reload_log_failed(attempt->script, attempt->step, attempt->detail, attempt->now);
}

/* A failure that may pass is logged once, and the version is tried again. */
static enum reload_outcome log_and_retry(struct attempt *attempt) {
  struct reload *reload = attempt->script->reload;
  if (!reload->has_logged_retry) log_failed(attempt);
  reload->has_logged_retry = true;
  sources_deinit(&attempt->sources);
  return RELOAD_LATER;
}

/* The files of the version are noted, so that it is tried and logged only once. */
static enum reload_outcome refuse_version(struct attempt *attempt) {
  struct script *script = attempt->script;
  struct reload *reload = script->reload;
  if (attempt->sources.is_uncertain) return log_and_retry(attempt);
  if (attempt->sources.count == 0) sources_note(&attempt->sources, script->options.path);
  sources_deinit(&reload->refused);
  reload->refused = attempt->sources;
  reload->missing_since = 0;
  reload->unexpected = (struct unexpected){0};
  log_failed(attempt);
  return RELOAD_REFUSED;
}

static enum reload_outcome refuse_or_wait(struct attempt *attempt) {
  if (!waits_for_file(attempt->script, attempt->is_forced, attempt->now))
    return refuse_version(attempt);
  sources_deinit(&attempt->sources);
  return RELOAD_LATER;
}

static enum reload_outcome retry_unexpected(struct attempt *attempt) {
  struct reload *reload = attempt->script->reload;
  if (reload->unexpected.since == 0) reload->unexpected.since = attempt->now;
  if (attempt->now - reload->unexpected.since >= UNEXPECTED_TIME) return log_and_retry(attempt);
  sources_deinit(&attempt->sources);
  return RELOAD_LATER;
}

static const char other_files[] = "it was made from other files when it was checked";

/* ---- checks -------------------------------------------------------------------------------- */

/* The usual cause is that a file was saved meanwhile. But a version may also differ each time that
 * it is loaded, or be loadable only here. The limits UNEXPECTED_MAX and UNEXPECTED_TIME are for
 * that. */
static enum attempt_result meet_unexpected(struct attempt *attempt, uint64_t fingerprint) {
  struct reload *reload = attempt->script->reload;
  bool is_same = reload->unexpected.count > 0 && reload->unexpected.fingerprint == fingerprint;
  reload->unexpected.count = is_same ? reload->unexpected.count + 1 : 1;
  reload->unexpected.fingerprint = fingerprint;
  attempt->detail = attempt->finding->report ? attempt->finding->report : other_files;
  return reload->unexpected.count < UNEXPECTED_MAX ? ATTEMPT_UNEXPECTED : ATTEMPT_REJECTED;
}

/* Decides whether the version that was made may take over. */
static enum attempt_result examine(struct attempt *attempt, const struct generation *next) {
  const struct reload_finding *finding = attempt->finding;
  if (is_early(attempt, next)) return ATTEMPT_EARLY;
  if (!finding) return ATTEMPT_READY;
  attempt->step = "preflight";
  attempt->detail = finding->report;
  bool was_loaded = finding->kind == FINDING_GOOD || finding->kind == FINDING_BAD;
  if (!was_loaded || finding->fingerprint != next->fingerprint)
    return meet_unexpected(attempt, next->fingerprint);
  return finding->kind == FINDING_GOOD ? ATTEMPT_READY : ATTEMPT_REJECTED;
}

/* ---- a new version ------------------------------------------------------------------------- */

/* Frees a version that will not take over, and keeps its sources. */
static void discard_version(struct attempt *attempt, struct script *script,
                            struct generation *next) {
  attempt->sources = *next->sources;
  *next->sources = (struct sources){0};
  script_free_generation(script, next);
}

static const struct sources *as_read(const struct attempt *attempt) {
  return attempt->compiled ? &attempt->compiled->files : NULL;
}

/* Makes the version in the simulated script `other`, examines it, and frees it. */
static enum attempt_result examine_simulated(struct attempt *attempt, struct script *other) {
  struct gate *gate = &attempt->script->gate;
  struct generation *next = version_make(other, as_read(attempt), &attempt->sources);
  if (next) {
    enum attempt_result result = examine(attempt, next);
    discard_version(attempt, other, next);
    return result;
  }
  if (attempt->finding->kind == FINDING_BAD) {
    attempt->step = "preflight"; /* It may lack the folder that its transcript had. */
    return meet_unexpected(attempt, sources_fingerprint(&attempt->sources));
  }
  memcpy(gate->error, other->gate.error, sizeof gate->error);
  return ATTEMPT_FAILED;
}

/* A version whose check has failed is not run in the script, where it would have effects. A
 * simulated script finds out which files it is made from. */
static enum attempt_result make_simulated(struct attempt *attempt) {
  struct script *script = attempt->script, *other;
  const struct script_clock clock = {clock_seconds(), (double)clock_real_milliseconds() / 1000};
  struct script_sandbox sandbox = {.folder = NULL};
  struct script_options options = script->options;
  options.clock = &clock;
  options.sandbox = &sandbox;
  if (script_create(&options, &other) != STATUS_OK) {
    snprintf(script->gate.error, sizeof script->gate.error, "not enough memory");
    return ATTEMPT_FAILED;
  }
  enum attempt_result result = examine_simulated(attempt, other);
  script_destroy(other);
  return result;
}

static enum attempt_result make_version(struct attempt *attempt) {
  struct script *script = attempt->script;
  const struct reload_finding *finding = attempt->finding;
  attempt->step = "load";
  attempt->detail = script->gate.error;
  if (finding && finding->kind != FINDING_GOOD && !finding->allows_effects)
    return make_simulated(attempt);
  if (finding && attempt->compiled &&
      !sources_agree(&attempt->compiled->files, &script->reload->checked)) {
    attempt->step = "preflight";
    attempt->detail = other_files;
    return ATTEMPT_UNEXPECTED; /* It is not run here, because nobody has checked it. */
  }
  struct generation *next = version_make(script, as_read(attempt), &attempt->sources);
  if (!next) return ATTEMPT_FAILED;
  enum attempt_result result = examine(attempt, next);
  if (result == ATTEMPT_READY && !takeover_migrate_state(script, next, &attempt->step)) {
    attempt->detail = script->gate.error;
    result = ATTEMPT_FAILED;
  }
  if (result == ATTEMPT_READY)
    attempt->next = next;
  else
    discard_version(attempt, script, next);
  return result;
}

static void note_wait(struct reload *reload) {
  double waited = clock_seconds() - reload->began;
  if (waited > reload->longest) reload->longest = waited;
}

static enum reload_outcome take_over(struct attempt *attempt) {
  struct script *script = attempt->script;
  struct reload *reload = script->reload;
  char dropped[TAKEOVER_NAMES_MAX];
  takeover_find_dropped(script, attempt->next, dropped);
  takeover_run(script, attempt->next, attempt->now);
  sources_deinit(&reload->refused);
  reload->missing_since = 0;
  reload->has_logged_retry = false;
  reload->unexpected = (struct unexpected){0};
  note_wait(reload);
  const struct reload_check check = {reload->transcripts, attempt->now - reload->checked_since};
  reload_log_done(script, as_read(attempt), reload->longest, attempt->finding ? &check : NULL);
  reload_log_dropped(script, dropped);
  takeover_free_old(script);
  return RELOAD_DONE;
}

static enum reload_outcome finish_attempt(struct attempt *attempt) {
  struct script *script = attempt->script;
  if (!attempt->is_forced && !is_worth_trying(script, attempt->compiled)) return RELOAD_UNCHANGED;
  switch (make_version(attempt)) {
  case ATTEMPT_READY: return take_over(attempt);
  case ATTEMPT_FAILED: return refuse_or_wait(attempt);
  case ATTEMPT_REJECTED:
    sources_join(&attempt->sources, &script->reload->checked);
    return refuse_version(attempt);
  case ATTEMPT_UNEXPECTED: return retry_unexpected(attempt);
  default: sources_deinit(&attempt->sources); return RELOAD_LATER;
  }
}

/* ---- reloading ----------------------------------------------------------------------------- */

static void abandon_precompile(lua_State *state, struct reload *reload) {
  precompile_forget(state);
  precompile_destroy(reload->spent);
  precompile_destroy(reload->precompile);
  reload->spent = reload->precompile = NULL;
}

static void start_precompile(struct script *script, bool is_forced) {
  struct reload *reload = script->reload;
  const struct precompile_plan plan = {.serving = script->generation->sources,
                                       .refused = &reload->refused,
                                       .memory_limit = script->options.memory_limit,
                                       .is_forced = is_forced,
                                       .wake = reload->wake,
                                       .context = reload->wake_context};
  abandon_precompile(script->gate.main, reload);
  reload->is_forced = is_forced;
  reload->longest = 0;
  reload->precompile = precompile_start(&plan);
}

/* Takes the next step of a reload. The last step opens all reserves of memory for the new version,
 * so that a script that has filled its memory can be repaired. */
static enum reload_outcome advance(struct script *script, bool is_forced,
                                   const struct reload_finding *finding, int64_t now) {
  struct reload *reload = script->reload;
  struct attempt attempt = {.script = script, .finding = finding, .now = now};
  reload->began = clock_seconds();
  bool is_new = !reload->precompile;
  if (is_new && !is_forced && !is_worth_trying(script, NULL)) return RELOAD_UNCHANGED;
  if (is_new) start_precompile(script, is_forced);
  bool has_thread = reload->precompile && reload->wake;
  bool waits = has_thread && (is_new || !precompile_has_finished(reload->precompile));
  bool runs_here = !finding || finding->kind == FINDING_GOOD || finding->allows_effects;
  if (has_thread && !waits && runs_here) {
    waits = precompile_load(&script->gate, reload->precompile);
    if (waits) reload->wake(reload->wake_context);
  }
  if (waits) {
    note_wait(reload);
    return RELOAD_COMPILING;
  }
  if (reload->precompile) attempt.compiled = precompile_result(reload->precompile);
  attempt.is_forced = is_forced || reload->is_forced;
  memory_open_reserve(&script->memory);
  memory_use_server_reserve(&script->memory, true);
  enum reload_outcome outcome = finish_attempt(&attempt);
  memory_use_server_reserve(&script->memory, false);
  memory_close_reserve(&script->memory);
  precompile_forget(script->gate.main);
  reload->spent = reload->precompile; /* The loop does not wait here until its thread has left. */
  reload->precompile = NULL;
  return outcome;
}

enum reload_outcome reload_try(struct script *script, bool is_forced, int64_t now) {
  return advance(script, is_forced, NULL, now);
}

static void note_file(void *checked, const char *path) { sources_note(checked, path); }

enum reload_outcome reload_find_changes(struct script *script, bool is_forced,
                                        const char *const *transcripts, size_t transcript_count,
                                        int64_t now) {
  struct reload *reload = script->reload;
  struct sources *checked = &reload->checked;
  if (checked->count > 0 && !sources_changed(checked)) return RELOAD_CHECKING;
  sources_deinit(checked);
  abandon_precompile(script->gate.main, reload);
  if (!is_forced && !is_worth_trying(script, NULL)) return RELOAD_UNCHANGED;
  if (waits_for_file(script, is_forced, now)) return RELOAD_LATER;
  reload_each_file(script, note_file, checked);
  for (size_t i = 0; i < transcript_count; i++) sources_note(checked, transcripts[i]);
  reload->transcripts = transcript_count;
  reload->checked_since = now;
  return checked->count > 0 ? RELOAD_UNCHECKED : RELOAD_LATER;
}

enum reload_outcome reload_try_checked(struct script *script, bool is_forced,
                                       const struct reload_finding *finding, int64_t now) {
  struct reload *reload = script->reload;
  if (finding->kind == FINDING_UNKNOWN) {
    struct attempt attempt = {.script = script,
                              .now = now,
                              .sources = reload->checked,
                              .step = "preflight",
                              .detail = finding->report};
    reload->checked = (struct sources){0};
    return refuse_version(&attempt);
  }
  enum reload_outcome outcome = advance(script, is_forced, finding, now);
  if (outcome != RELOAD_COMPILING) sources_deinit(&reload->checked);
  return outcome;
}

void reload_set_wake(struct script *script, void (*wake)(void *context), void *context) {
  abandon_precompile(script->gate.main, script->reload);
  script->reload->wake = wake;
  script->reload->wake_context = context;
}

/* ---- the first version ---------------------------------------------------------------------- */

static int free_reload(lua_State *state) {
  struct reload *reload = lua_touserdata(state, 1);
  abandon_precompile(state, reload);
  sources_deinit(&reload->refused);
  sources_deinit(&reload->checked);
  return 0;
}

/* The userdata stays in the registry until the state is closed. */
static int create_reload(lua_State *state) {
  struct script *script = lua_touserdata(state, 1);
  script->reload = lua_newuserdatauv(state, sizeof *script->reload, 0);
  *script->reload = (struct reload){.wake = NULL};
  lua_createtable(state, 0, 1);
  lua_pushcfunction(state, free_reload);
  lua_setfield(state, -2, "__gc");
  lua_setmetatable(state, -2);
  luaL_ref(state, LUA_REGISTRYINDEX);
  return 0;
}

bool reload_load_first(struct script *script, const char **error) {
  const struct script_clock *clock = script->options.clock;
  struct sources sources = {0};
  if (gate_run(&script->gate, create_reload, script) == GATE_OK)
    script->generation = version_make(script, NULL, &sources);
  if (!script->generation) {
    sources_deinit(&sources);
    *error = version_error(script);
    return false;
  }
  script->generation->since = clock ? (int64_t)(clock->monotonic * 1000) : clock_milliseconds();
  task_handle_begin_all(script->generation);
  return true;
}

/* ---- the files that are watched ------------------------------------------------------------- */

size_t reload_count_files(const struct script *script) {
  return script->generation->sources->count + script->reload->refused.count;
}

void reload_each_file(const struct script *script, void (*visit)(void *context, const char *path),
                      void *context) {
  sources_each(script->generation->sources, visit, context);
  sources_each(&script->reload->refused, visit, context);
}
