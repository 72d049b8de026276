#include "cli/checker.h"

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The seconds of processor time for playing transcripts. On a busy machine that takes longer. */
static const char play_time[] = "2";

/* The number of words without settings: 8, and two for each number. */
enum { OTHER_WORDS = 8 + 2 * CHECKER_NUMBERS_MAX };

/* This is more than a line of the log holds. */
enum { REPORT_MAX = 8192 };

/* ---- the command line ---------------------------------------------------------------------- */

static void add_word(struct checker *checker, const char *word) {
  checker->words[checker->word_count++] = (char *)word;
}

static char *new_number(struct checker *checker, const char *name) {
  assert(checker->number_count < CHECKER_NUMBERS_MAX);
  char *number = checker->numbers[checker->number_count++];
  add_word(checker, name);
  add_word(checker, number);
  return number;
}

static void add_bytes(struct checker *checker, const char *name, int64_t bytes) {
  if (bytes != LIMIT_NOT_GIVEN)
    snprintf(new_number(checker, name), CHECKER_NUMBER_MAX, "%" PRId64, bytes);
}

static void add_seconds(struct checker *checker, const char *name, int64_t ms) {
  if (ms != LIMIT_NOT_GIVEN)
    snprintf(new_number(checker, name), CHECKER_NUMBER_MAX, "%" PRId64 ".%03d", ms / 1000,
             (int)(ms % 1000));
}

/* A script is checked with the limits that it has in the server. */
static void add_options(struct checker *checker, const struct script_options *options) {
  if (options->memory_limit > 0)
    add_bytes(checker, "--memory-limit", (int64_t)options->memory_limit);
  add_bytes(checker, "--max-request", options->max_request);
  add_bytes(checker, "--max-unsent", options->max_unsent);
  add_bytes(checker, "--max-tasks", options->max_tasks);
  add_seconds(checker, "--call-timeout", options->call_timeout);
  add_seconds(checker, "--request-timeout", options->request_timeout);
  add_seconds(checker, "--idle-timeout", options->idle_timeout);
  add_seconds(checker, "--write-timeout", options->write_timeout);
  add_seconds(checker, "--response-timeout", options->response_timeout);
}

/* False: no memory. */
static bool add_settings(struct checker *checker, const struct script_options *options) {
  for (size_t i = 0; i < options->setting_count; i++) {
    const struct script_setting *setting = &options->settings[i];
    char *text = malloc(setting->name.length + 1 + setting->value.length + 1);
    if (!text) return false;
    memcpy(text, setting->name.data, setting->name.length);
    text[setting->name.length] = '=';
    memcpy(text + setting->name.length + 1, setting->value.data, setting->value.length);
    text[setting->name.length + 1 + setting->value.length] = '\0';
    checker->settings[checker->setting_count++] = text;
    add_word(checker, "--set");
    add_word(checker, text);
  }
  return true;
}

/* PATH/transcripts/NAME, where the script is PATH/NAME.lua; NULL: no memory. */
static char *folder_of(const char *path) {
  char *folder;
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  const char *dot = strrchr(name, '.');
  int length = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
  if (asprintf(&folder, "%.*stranscripts/%.*s", (int)(name - path), path, length, name) < 0)
    return NULL;
  return folder;
}

enum status checker_init(struct checker *checker, const struct script_options *options,
                         bool allows_effects, char *const *environment) {
  *checker = (struct checker){
      .folder = folder_of(options->path),
      .allows_effects = allows_effects,
      .words = calloc(OTHER_WORDS + 2 * options->setting_count + 1, sizeof *checker->words),
      .settings = calloc(options->setting_count + 1, sizeof *checker->settings)};
  if (!checker->folder || !checker->words || !checker->settings) return STATUS_NO_MEMORY;
  add_word(checker, "parlance");
  add_word(checker, "check");
  add_word(checker, "--fingerprint");
  add_word(checker, "--seconds");
  add_word(checker, play_time);
  if (allows_effects) add_word(checker, "--allow-effects");
  add_options(checker, options);
  if (!add_settings(checker, options)) return STATUS_NO_MEMORY;
  add_word(checker, "--");
  add_word(checker, options->path);
  checker->plan = (struct child_command){"/proc/self/exe", checker->words, environment};
  return STATUS_OK;
}

void checker_deinit(struct checker *checker) {
  for (size_t i = 0; i < checker->setting_count; i++) free(checker->settings[i]);
  free(checker->settings);
  free(checker->words);
  free(checker->folder);
}

/* ---- before a check------------------------------------------------------------------------ */

static int is_transcript(const struct dirent *entry) {
  const char *ending = strrchr(entry->d_name, '.');
  return ending && strcmp(ending, ".transcript") == 0;
}

/* Frees the entries, and returns how many paths were made. The caller frees the paths. A path is
 * left out if there is no memory for it; `paths` may be NULL. */
static size_t make_paths(const char *folder, struct dirent **entries, size_t count, char **paths) {
  size_t made = 0;
  for (size_t i = 0; i < count; i++) {
    if (paths && asprintf(&paths[made], "%s/%s", folder, entries[i]->d_name) >= 0) made++;
    free(entries[i]);
  }
  return made;
}

enum reload_outcome checker_find_changes(const struct checker *checker, struct script *script,
                                         bool is_forced, int64_t now) {
  struct dirent **entries = NULL;
  int listed = scandir(checker->folder, &entries, is_transcript, alphasort);
  size_t count = listed > 0 ? (size_t)listed : 0;
  char **paths = calloc(count + 1, sizeof *paths);
  count = make_paths(checker->folder, entries, count, paths);
  free(entries);
  enum reload_outcome found =
      reload_find_changes(script, is_forced, (const char *const *)paths, count, now);
  for (size_t i = 0; i < count; i++) free(paths[i]);
  free(paths);
  return found;
}

/* ---- after a check ------------------------------------------------------------------------- */

/* Reads the last line of the report, "fingerprint HEX" or "fingerprint none", and cuts it off.
 * False: there is no such line, because the check did not finish. */
static bool take_last_line(struct span *text, bool *has_fingerprint, uint64_t *fingerprint) {
  static const char word[] = "fingerprint ";
  char line[64], *end;
  if (text->length == 0 || text->data[text->length - 1] != '\n') return false;
  const char *before = memrchr(text->data, '\n', text->length - 1);
  const char *start = before ? before + 1 : text->data;
  size_t length = text->length - 1 - (size_t)(start - text->data);
  if (length >= sizeof line || length <= strlen(word)) return false;
  memcpy(line, start, length);
  line[length] = '\0';
  if (strncmp(line, word, strlen(word)) != 0) return false;
  *fingerprint = strtoull(line + strlen(word), &end, 16);
  *has_fingerprint = *end == '\0';
  text->length = (size_t)(start - text->data);
  return true;
}

/* Copies as much as the log can show, without the line feeds at the end. */
static void copy_report(struct span text, char report[static REPORT_MAX]) {
  size_t length = text.length < REPORT_MAX ? text.length : REPORT_MAX - 1;
  while (length > 0 && text.data[length - 1] == '\n') length--;
  memcpy(report, text.data, length);
  report[length] = '\0';
}

enum reload_outcome checker_reload(const struct checker *checker, struct script *script,
                                   bool is_forced, const struct check_end *end, int64_t now) {
  char report[REPORT_MAX];
  struct span text = end->text;
  struct reload_finding finding = {
      .kind = FINDING_UNKNOWN, .report = end->why, .allows_effects = checker->allows_effects};
  bool has_fingerprint;
  if (end->why) return reload_try_checked(script, is_forced, &finding, now);
  if (take_last_line(&text, &has_fingerprint, &finding.fingerprint)) {
    copy_report(text, report);
    finding.kind = !has_fingerprint   ? FINDING_NO_VERSION
                   : end->status == 0 ? FINDING_GOOD
                                      : FINDING_BAD;
    finding.report = end->status == 0 ? NULL : report;
  } else {
    snprintf(report, sizeof report,
             "the check ended with status %d before it was done; see `parlance check`",
             end->status);
    finding.report = report;
  }
  return reload_try_checked(script, is_forced, &finding, now);
}
