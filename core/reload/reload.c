#include "reload/reload.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "reload/version.h"
#include "script/script_internal.h"
#include "script/tasks.h"
#include "script/watchdog.h"

/* For so long, in ms, a file may be missing while it is being replaced. */
enum { PATIENCE = 500 };

/* So often a version that is not what was checked may be there in a row, if it is the same each
 * time. If it is another each time, that goes on, and is logged after so many ms. */
enum { STRANGERS_MAX = 3, STRANGERS_TIME = 10000 };

/* Longest list of names in a log line, in bytes. */
enum { LIST_MAX = 1024 };

/* What is known of a script's versions besides those that serve. A userdata of its state. */
struct reload {
  struct sources failed;   /* what the last version that was refused was made from; or empty */
  struct sources checked;  /* what a check that is under way is about; or empty */
  size_t transcripts;      /* so many belonged to the script then */
  int64_t checked_since;   /* when it was asked for, in ms */
  uint64_t stranger;       /* the fingerprint of the last version that was not what was checked */
  unsigned strangers;      /* so many there were in a row with this fingerprint */
  int64_t strangers_since; /* when the first of a row was met, with whatever fingerprint; 0: none */
  int64_t lacking_since;   /* when a file was first found missing; 0: none is */
  bool (*pause)(void *context); /* lets others go on while a version is being made; or NULL */
  void *pause_context;
  double piece_since; /* when others last went on, in seconds of clock_seconds(), */
  double longest;     /* and for how long they waited at most, while a version was being made */
  size_t used_before; /* bytes of Lua's then, */
  size_t made;        /* and how many of them belong to the version that is being made */
  bool is_troubled;   /* a version could not be read, and that was logged */
};

/* ---- the log's lists ------------------------------------------------------------------------ */

/* Names that stand in a line, one behind the other; what does not fit is left out. */
struct list {
  size_t length;
  char text[LIST_MAX];
};

static void add_name(void *context, const char *name) {
  struct list *list = context;
  size_t length = strlen(name), room = sizeof list->text - list->length;
  if (room <= 2) return;
  if (list->length > 0) list->text[list->length++] = ' ';
  if (length > room - 2) length = room - 2;
  memcpy(list->text + list->length, name, length);
  list->length += length;
  list->text[list->length] = '\0';
}

/* ---- pieces -------------------------------------------------------------------------------- */

static void begin_piece(struct script *script) {
  script->reload->piece_since = clock_seconds();
  script->reload->used_before = script->memory.used;
}

static void end_piece(struct script *script) {
  double piece = clock_seconds() - script->reload->piece_since;
  if (piece > script->reload->longest) script->reload->longest = piece;
  if (script->memory.used > script->reload->used_before)
    script->reload->made += script->memory.used - script->reload->used_before;
}

static void begin_pieces(struct script *script) {
  script->reload->longest = 0;
  script->reload->made = 0;
  begin_piece(script);
}

/* They have as much memory as without the version that is being made: one that is too large is to
 * fail itself, and not those who are served meanwhile. */
static void let_others(void *context) {
  struct script *script = context;
  size_t limit = script->memory.limit;
  double since = script->reload->piece_since;
  end_piece(script);
  script->memory.limit =
      limit < SIZE_MAX - script->reload->made ? limit + script->reload->made : SIZE_MAX;
  bool have_gone_on = script->reload->pause(script->reload->pause_context);
  script->memory.limit = limit;
  begin_piece(script);
  if (!have_gone_on) script->reload->piece_since = since;
}

void script_set_pause(struct script *script, bool (*pause)(void *context), void *context) {
  script->reload->pause = pause;
  script->reload->pause_context = context;
}

/* ---- state --------------------------------------------------------------------------------- */

struct takeover {
  struct generation *old;
  struct generation *next;
  const char *step;                     /* what was being done when it failed, */
  const char *detail;                   /* and why */
  const struct script_verdict *verdict; /* NULL: none is needed */
  bool is_turned_away;                  /* it was loaded, and is not to take over: */
  bool is_stranger;                     /* because it is not what the verdict is about */
  bool is_early;                        /* a file that it does without may come back */
  struct list lost;
};

static void push_function(lua_State *state, const struct generation *generation,
                          enum function function) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, generation->functions[function]);
}

/* What the new version does not want to have is not asked for, so that a save that fails can be got
 * rid of. */
static bool is_carried(const struct takeover *takeover) {
  return takeover->old->functions[FUNCTION_SAVE] != LUA_NOREF &&
         takeover->next->functions[FUNCTION_RESTORE] != LUA_NOREF;
}

/* restore(save()) */
static int carry_over(lua_State *state) {
  struct takeover *takeover = lua_touserdata(state, 1);
  if (!is_carried(takeover)) return 0;
  push_function(state, takeover->next, FUNCTION_RESTORE);
  push_function(state, takeover->old, FUNCTION_SAVE);
  takeover->step = "save";
  lua_call(state, 0, 1);
  takeover->step = "restore";
  watchdog_restart();
  lua_call(state, 1, 0);
  return 0;
}

/* ---- the log ------------------------------------------------------------------------------- */

static void log_reloaded(const struct script *script, const struct list *files, bool was_checked,
                         int64_t now) {
  struct log_line line;
  size_t remaining = 0;
  if (!log_begin(&line, LOG_INFO, "reloaded")) return;
  log_text(&line, "service", script->name);
  log_integer(&line, "generation", script->generation->number);
  log_text(&line, "files", files->text);
  log_number(&line, "ms", script->reload->longest * 1000);
  for (const struct generation *one = script->older; one; one = one->next)
    remaining += one->handler.sessions;
  log_integer(&line, "on_old", (int64_t)remaining);
  if (was_checked) {
    log_integer(&line, "transcripts", (int64_t)script->reload->transcripts);
    log_integer(&line, "check_ms", now - script->reload->checked_since);
  }
  log_end(&line);
}

static void log_refused(const struct script *script, const struct takeover *takeover, int64_t now) {
  struct log_line line;
  if (!log_begin(&line, LOG_ERROR, "reload_failed")) return;
  log_text(&line, "service", script->name);
  log_text(&line, "step", takeover->step);
  log_integer(&line, "serving", script->generation->number);
  log_number(&line, "age", (double)(now - script->generation->since) / 1000);
  log_block(&line, "detail", takeover->detail);
  log_end(&line);
}

/* ---- lost state ---------------------------------------------------------------------------- */

/* Calls the module that compares what both versions keep. */
static int list_lost(lua_State *state) {
  struct takeover *takeover = lua_touserdata(state, 1);
  lua_getglobal(state, "require");
  lua_pushliteral(state, "parlance.lost_state");
  lua_call(state, 1, 1);
  lua_rawgeti(state, LUA_REGISTRYINDEX, takeover->old->roots);
  lua_rawgeti(state, LUA_REGISTRYINDEX, takeover->next->roots);
  lua_call(state, 2, 1);
  if (lua_isstring(state, -1)) add_name(&takeover->lost, lua_tostring(state, -1));
  return 0;
}

/* It is only advice: that it cannot be given is no failure. */
static void look_for_loss(struct script *script, struct takeover *takeover) {
  if (!is_carried(takeover) && script->options.modules)
    (void)gate_run(&script->gate, list_lost, takeover);
}

static void warn_of_loss(const struct script *script, const struct list *lost) {
  struct log_line line;
  if (lost->length == 0 || !log_begin(&line, LOG_WARN, "state_lost")) return;
  log_text(&line, "service", script->name);
  log_integer(&line, "generation", script->generation->number);
  log_text(&line, "names", lost->text);
  log_text(&line, "detail",
           "filled before and empty now: keep it with save and restore, or in parlance.shared");
  log_end(&line);
}

/* ---- generations --------------------------------------------------------------------------- */

/* The last conversation has left. */
static void retire(struct handler *handler) {
  struct generation *generation = (struct generation *)handler;
  struct script *script = generation->script;
  struct generation **link = &script->older;
  while (*link != generation) link = &(*link)->next;
  *link = generation->next;
  script_free_generation(script, generation);
}

static void take_over(struct script *script, const struct takeover *takeover, int64_t now) {
  struct generation *old = takeover->old;
  script->generation = takeover->next;
  script->generation->since = now;
  old->next = script->older;
  script->older = old;
  for (struct generation *one = script->older; one; one = one->next) {
    one->handler.successor = &script->generation->handler;
    one->handler.on_unused = retire;
  }
  tasks_end(old);
  tasks_begin(script->generation);
  sources_deinit(&script->reload->failed);
  script->reload->lacking_since = 0;
  script->reload->is_troubled = false;
  script->reload->strangers = 0;
  script->reload->strangers_since = 0;
}

/* ---- the files ----------------------------------------------------------------------------- */

static bool is_refused_before(const struct script *script) {
  return script->reload->failed.count > 0 && !sources_changed(&script->reload->failed);
}

/* Lists the files that have changed; `as_read`, or NULL, gets all as they are. */
static bool is_worth_trying(struct script *script, struct list *files, struct sources *as_read) {
  if (is_refused_before(script)) {
    script->reload->lacking_since = 0;
    return false;
  }
  bool has_changed = sources_look(script->generation->sources, as_read, add_name, files) > 0;
  if (!has_changed) script->reload->lacking_since = 0;
  if (!has_changed && script->reload->failed.count > 0) {
    struct log_line line;
    sources_deinit(&script->reload->failed);
    if (log_begin(&line, LOG_INFO, "reload_undone")) {
      log_text(&line, "service", script->name);
      log_integer(&line, "serving", script->generation->number);
      log_end(&line);
    }
  }
  return has_changed;
}

/* A file that is being replaced may be missing for a moment. */
static bool may_come_back(struct script *script, int64_t now) {
  if (script->reload->lacking_since == 0) script->reload->lacking_since = now;
  return now - script->reload->lacking_since < PATIENCE;
}

static bool has_patience(struct script *script, bool is_forced, int64_t now) {
  if (is_forced) return false;
  bool lacks = sources_lack(script->generation->sources);
  if (!lacks) script->reload->lacking_since = 0;
  return lacks && may_come_back(script, now);
}

/* Without an optional module that is just being replaced it would be good, and not be what is
 * meant. */
static bool is_made_too_early(struct script *script, const struct generation *next, int64_t now) {
  return sources_miss(next->sources, script->generation->sources) && may_come_back(script, now);
}

/* What may pass is logged once, and tried again. */
static enum script_reload put_off(struct script *script, struct sources *sources,
                                  const struct takeover *takeover, int64_t now) {
  if (!script->reload->is_troubled) log_refused(script, takeover, now);
  script->reload->is_troubled = true;
  sources_deinit(sources);
  return SCRIPT_LACKING;
}

/* Without any note of what it was, it would be tried, and logged, again and again. */
static enum script_reload refuse(struct script *script, struct sources *sources,
                                 const struct takeover *takeover, int64_t now) {
  if (sources->is_uncertain) return put_off(script, sources, takeover, now);
  if (sources->count == 0) sources_note(sources, script->options.path);
  sources_deinit(&script->reload->failed);
  script->reload->failed = *sources;
  script->reload->lacking_since = 0;
  script->reload->strangers = 0;
  script->reload->strangers_since = 0;
  log_refused(script, takeover, now);
  return SCRIPT_REFUSED;
}

/* ---- checks -------------------------------------------------------------------------------- */

/* What is loaded is not what was checked. Mostly it was saved meanwhile; but it may be that it is
 * never the same here and there, or only loads here, and that must come to an end. */
static void meet_stranger(struct script *script, struct takeover *takeover, uint64_t fingerprint) {
  bool is_same = script->reload->strangers > 0 && script->reload->stranger == fingerprint;
  script->reload->strangers = is_same ? script->reload->strangers + 1 : 1;
  script->reload->stranger = fingerprint;
  takeover->is_stranger = script->reload->strangers < STRANGERS_MAX;
  takeover->detail = takeover->verdict->report ? takeover->verdict->report
                                               : "it was made from other files when it was checked";
}

/* Whether what was loaded may take over. */
static bool passes(struct script *script, struct takeover *takeover) {
  const struct script_verdict *verdict = takeover->verdict;
  if (!verdict) return true;
  takeover->step = "preflight";
  takeover->detail = verdict->report;
  bool is_known = verdict->finding == SCRIPT_GOOD || verdict->finding == SCRIPT_BAD;
  if (is_known && verdict->fingerprint == takeover->next->fingerprint)
    return verdict->finding == SCRIPT_GOOD;
  meet_stranger(script, takeover, takeover->next->fingerprint);
  return false;
}

static enum script_reload turn_away(struct script *script, struct sources *sources,
                                    const struct takeover *takeover, int64_t now) {
  if (!takeover->is_stranger) return refuse(script, sources, takeover, now);
  if (script->reload->strangers_since == 0) script->reload->strangers_since = now;
  if (now - script->reload->strangers_since >= STRANGERS_TIME)
    return put_off(script, sources, takeover, now);
  sources_deinit(sources);
  return SCRIPT_LACKING;
}

/* ---- a new version ------------------------------------------------------------------------- */

/* Frees the version that was made of the script and is not to take over. */
static void let_go(struct script *script, struct takeover *takeover, struct sources *sources) {
  *sources = *takeover->next->sources;
  *takeover->next->sources = (struct sources){0};
  script_free_generation(script, takeover->next);
}

/* In `other`, which is simulated. */
static void load_other(struct script *script, struct script *other, struct takeover *takeover,
                       bool is_forced, struct sources *sources, int64_t now) {
  struct ahead nothing;
  ahead_init(&nothing);
  takeover->next = version_make(other, &nothing, sources);
  ahead_deinit(&other->gate, &nothing);
  if (takeover->next) {
    takeover->is_early = !is_forced && is_made_too_early(script, takeover->next, now);
    takeover->is_turned_away = !takeover->is_early && !passes(script, takeover);
    let_go(other, takeover, sources);
  } else if (takeover->verdict->finding == SCRIPT_BAD) {
    takeover->step = "preflight"; /* it may lack the folder that a transcript gives it */
    takeover->is_turned_away = true;
    meet_stranger(script, takeover, sources_fingerprint(sources));
  } else
    memcpy(script->gate.error, other->gate.error, sizeof script->gate.error);
}

/* A version that the verdict speaks against is not run here, where it would have effects. What it
 * is made from is found out beside. */
static void turn_down(struct script *script, struct takeover *takeover, bool is_forced,
                      struct sources *sources, int64_t now) {
  const struct script_clock clock = {clock_seconds(), (double)clock_real_milliseconds() / 1000};
  struct script_sandbox sandbox = {.folder = NULL};
  struct script_options options = script->options;
  struct script *other;
  options.clock = &clock;
  options.sandbox = &sandbox;
  *sources = (struct sources){0};
  if (script_create(&options, &other) != STATUS_OK) {
    snprintf(script->gate.error, sizeof script->gate.error, "not enough memory");
    return;
  }
  load_other(script, other, takeover, is_forced, sources, now);
  script_destroy(other);
}

static bool is_spoken_against(const struct script_verdict *verdict) {
  return verdict && verdict->finding != SCRIPT_GOOD && !verdict->allows_effects;
}

/* False: there is none, and *sources has what it would have been made from. */
static bool make_next(struct script *script, struct takeover *takeover, struct ahead *ahead,
                      bool is_forced, struct sources *sources, int64_t now) {
  takeover->step = "load";
  takeover->detail = script->gate.error;
  if (is_spoken_against(takeover->verdict)) {
    turn_down(script, takeover, is_forced, sources, now);
    return false;
  }
  takeover->next = version_make(script, ahead, sources);
  if (!takeover->next) return false;
  takeover->is_early = !is_forced && is_made_too_early(script, takeover->next, now);
  if (!takeover->is_early && passes(script, takeover)) {
    takeover->detail = script->gate.error;
    script->tasks.are_refused = true;
    bool is_carried_over = gate_run(&script->gate, carry_over, takeover) == GATE_OK;
    script->tasks.are_refused = false;
    if (is_carried_over) return true;
  } else
    takeover->is_turned_away = !takeover->is_early;
  let_go(script, takeover, sources);
  return false;
}

static enum script_reload fail(struct script *script, struct sources *sources,
                               const struct takeover *takeover, bool is_forced, int64_t now) {
  if (!has_patience(script, is_forced, now)) return refuse(script, sources, takeover, now);
  sources_deinit(sources);
  return SCRIPT_LACKING;
}

/* The files are looked at: what is new is listed, and `ahead` gets what was read. A file that is
 * missing is perhaps just being written: then all is done at once, so that no half of it is met. */
static bool look(struct script *script, bool is_forced, struct list *files, struct ahead *ahead) {
  ahead_init(ahead);
  bool is_tried = is_forced || is_worth_trying(script, files, &ahead->files);
  if (is_forced) sources_look(script->generation->sources, &ahead->files, add_name, files);
  if (ahead->files.lacks)
    sources_deinit(&ahead->files);
  else if (script->reload->pause) {
    ahead->pause = let_others;
    ahead->context = script;
  }
  return is_tried;
}

/* `checked`: what was noted when the check began. */
static enum script_reload reload_within(struct script *script, bool is_forced,
                                        const struct script_verdict *verdict,
                                        const struct sources *checked, int64_t now) {
  struct takeover takeover = {.old = script->generation, .verdict = verdict};
  struct list files = {0};
  struct sources sources;
  struct ahead ahead;
  begin_pieces(script);
  bool is_tried = look(script, is_forced, &files, &ahead);
  bool is_made = is_tried && make_next(script, &takeover, &ahead, is_forced, &sources, now);
  ahead_deinit(&script->gate, &ahead);
  if (!is_tried) return SCRIPT_UNCHANGED;
  if (takeover.is_early) {
    sources_deinit(&sources);
    return SCRIPT_LACKING;
  }
  if (!is_made) {
    if (!takeover.is_turned_away) return fail(script, &sources, &takeover, is_forced, now);
    sources_join(&sources, checked);
    return turn_away(script, &sources, &takeover, now);
  }
  look_for_loss(script, &takeover);
  take_over(script, &takeover, now);
  end_piece(script);
  log_reloaded(script, &files, verdict, now);
  warn_of_loss(script, &takeover.lost);
  if (takeover.old->handler.sessions == 0) retire(&takeover.old->handler);
  return SCRIPT_RELOADED;
}

/* A script that has filled its memory can still be mended: all reserves are open for the new
 * version.
 */
static enum script_reload reload(struct script *script, bool is_forced,
                                 const struct script_verdict *verdict,
                                 const struct sources *checked, int64_t now) {
  memory_open_reserve(&script->memory);
  memory_use_server_reserve(&script->memory, true);
  enum script_reload outcome = reload_within(script, is_forced, verdict, checked, now);
  memory_use_server_reserve(&script->memory, false);
  memory_close_reserve(&script->memory);
  return outcome;
}

enum script_reload script_reload(struct script *script, bool is_forced, int64_t now) {
  return reload(script, is_forced, NULL, NULL, now);
}

enum script_reload script_look(struct script *script, bool is_forced,
                               const char *const *transcripts, size_t transcript_count,
                               int64_t now) {
  struct list files = {0};
  if (script->reload->checked.count > 0 && !sources_changed(&script->reload->checked))
    return SCRIPT_CHECKING;
  sources_deinit(&script->reload->checked);
  if (!is_forced && !is_worth_trying(script, &files, NULL)) return SCRIPT_UNCHANGED;
  if (has_patience(script, is_forced, now)) return SCRIPT_LACKING;
  for (size_t i = 0; i < script->generation->sources->count; i++)
    sources_note(&script->reload->checked, script->generation->sources->items[i].path);
  for (size_t i = 0; i < script->reload->failed.count; i++)
    sources_note(&script->reload->checked, script->reload->failed.items[i].path);
  for (size_t i = 0; i < transcript_count; i++)
    sources_note(&script->reload->checked, transcripts[i]);
  script->reload->transcripts = transcript_count;
  script->reload->checked_since = now;
  return script->reload->checked.count > 0 ? SCRIPT_UNCHECKED : SCRIPT_LACKING;
}

enum script_reload script_judge(struct script *script, bool is_forced,
                                const struct script_verdict *verdict, int64_t now) {
  struct sources checked = script->reload->checked;
  script->reload->checked = (struct sources){0};
  if (verdict->finding == SCRIPT_UNKNOWN) {
    struct takeover takeover = {.step = "preflight", .detail = verdict->report};
    return refuse(script, &checked, &takeover, now);
  }
  enum script_reload outcome = reload(script, is_forced, verdict, &checked, now);
  sources_deinit(&checked);
  return outcome;
}

/* ---- the first version ---------------------------------------------------------------------- */

static int free_reload(lua_State *state) {
  struct reload *reload = lua_touserdata(state, 1);
  sources_deinit(&reload->failed);
  sources_deinit(&reload->checked);
  return 0;
}

/* The userdata is the registry's until the state is closed. */
static int begin(lua_State *state) {
  struct script *script = lua_touserdata(state, 1);
  script->reload = lua_newuserdatauv(state, sizeof *script->reload, 0);
  *script->reload = (struct reload){.is_troubled = false};
  lua_createtable(state, 0, 1);
  lua_pushcfunction(state, free_reload);
  lua_setfield(state, -2, "__gc");
  lua_setmetatable(state, -2);
  luaL_ref(state, LUA_REGISTRYINDEX);
  return 0;
}

bool script_load(struct script *script, const char **error) {
  struct sources sources;
  struct ahead nothing;
  if (gate_run(&script->gate, begin, script) != GATE_OK) {
    *error = version_error(script);
    return false;
  }
  ahead_init(&nothing);
  script->generation = version_make(script, &nothing, &sources);
  ahead_deinit(&script->gate, &nothing);
  if (script->generation) {
    const struct script_clock *clock = script->options.clock;
    script->generation->since = clock ? (int64_t)(clock->monotonic * 1000) : clock_milliseconds();
    tasks_begin(script->generation);
    return true;
  }
  sources_deinit(&sources);
  *error = version_error(script);
  return false;
}

/* ---- the files that are watched ------------------------------------------------------------- */

size_t script_count_files(const struct script *script) {
  return script->generation->sources->count + script->reload->failed.count;
}

static void visit_all(const struct sources *sources, void (*visit)(void *context, const char *path),
                      void *context) {
  for (size_t i = 0; i < sources->count; i++) visit(context, sources->items[i].path);
}

void script_each_file(const struct script *script, void (*visit)(void *context, const char *path),
                      void *context) {
  visit_all(script->generation->sources, visit, context);
  visit_all(&script->reload->failed, visit, context);
}
