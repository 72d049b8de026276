#include "reload/reload_log.h"

#include <stdio.h>

#include "base/log.h"
#include "script/script_internal.h"

/* Longest list of files in a log line, in bytes. */
enum { LIST_MAX = 1024 };

/* The paths of the files that have changed, as far as they fit. */
static void list_changed(const struct sources *files, char list[static LIST_MAX]) {
  size_t length = 0;
  for (size_t i = 0; i < files->count; i++) {
    if (!files->items[i].has_changed || length + 2 >= LIST_MAX) continue;
    length += (size_t)snprintf(list + length, LIST_MAX - length, "%s%s", length > 0 ? " " : "",
                               files->items[i].path);
  }
}

void reload_log_done(const struct script *script, const struct sources *files, double longest,
                     const struct reload_check *check) {
  struct log_line line;
  size_t on_old = 0;
  char list[LIST_MAX] = "";
  if (!log_begin(&line, LOG_INFO, "reloaded")) return;
  if (files) list_changed(files, list);
  log_text(&line, "service", script->name);
  log_integer(&line, "generation", script->generation->number);
  log_text(&line, "files", list);
  log_number(&line, "ms", longest * 1000);
  for (const struct generation *one = script->older; one; one = one->next)
    on_old += one->handler.sessions;
  log_integer(&line, "on_old", (int64_t)on_old);
  if (check) {
    log_integer(&line, "transcripts", (int64_t)check->transcripts);
    log_integer(&line, "check_ms", check->ms);
  }
  log_end(&line);
}

void reload_log_failed(const struct script *script, const char *step, const char *detail,
                       int64_t now) {
  const struct generation *serving = script->generation;
  struct log_line line;
  if (!log_begin(&line, LOG_ERROR, "reload_failed")) return;
  log_text(&line, "service", script->name);
  log_text(&line, "step", step);
  log_integer(&line, "serving", serving->number);
  log_number(&line, "age", (double)(now - serving->since) / 1000);
  log_block(&line, "detail", detail);
  log_end(&line);
}

void reload_log_undone(const struct script *script) {
  struct log_line line;
  if (!log_begin(&line, LOG_INFO, "reload_undone")) return;
  log_text(&line, "service", script->name);
  log_integer(&line, "serving", script->generation->number);
  log_end(&line);
}

void reload_log_dropped(const struct script *script, const char *names) {
  struct log_line line;
  if (names[0] == '\0' || !log_begin(&line, LOG_WARN, "state_lost")) return;
  log_text(&line, "service", script->name);
  log_integer(&line, "generation", script->generation->number);
  log_text(&line, "names", names);
  log_text(&line, "detail",
           "filled before and empty now: keep it with save and restore, or in parlance.shared");
  log_end(&line);
}
