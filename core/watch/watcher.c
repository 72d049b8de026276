#include "watch/watcher.h"

#include <stdlib.h>
#include <string.h>

#include "watch/watch_folders.h"
#include "watch/watch_look.h"
#include "watch/watch_path.h"

/* The policy of docs/hot-editing.md, "When a save is noticed". */
enum {
  QUIET_MS = 10,    /* A complete save is told when there was no event for so long. */
  LONGEST_MS = 100, /* Saves that follow each other do not put that off for longer. */
  POLL_MS = 250     /* The time from one look to the next where there are no events. */
};

/* The other times follow from these three. */
enum {
  /* A file that is open for writing is incomplete, but some programs never close theirs. */
  OPEN_QUIET_MS = 2 * LONGEST_MS,
  OPEN_LONGEST_MS = 5 * LONGEST_MS,
  /* The time from a look that finds a difference to the next look. */
  LOOK_QUIET_MS = 2 * QUIET_MS,
  /* The time from one telling to the next doubles up to LONGEST_MS, until nothing was told for
   * BURST_MS. So a person who saves two files does not wait, and a program that saves all the time
   * causes ten tellings a second. */
  FIRST_GAP_MS = 2 * QUIET_MS,
  BURST_MS = 2 * LONGEST_MS
};

/* A folder that is removed during a walk ends the walk early. This is rare. */
enum { WALK_TRIES = 3 };

struct file {
  char *path;
  struct watch_look look; /* The last look; without meaning while the watcher does not poll. */
};

struct watcher {
  struct watch_folders *folders; /* NULL: there are no events, only looks. */
  struct file *files;
  size_t count;

  bool polls;
  int64_t next_look;
  int64_t nudge; /* CLOCK_NEVER: there is none. */

  /* The change that is not told yet. */
  int64_t last_change;    /* The last event or look that was part of it; CLOCK_NEVER: no change. */
  int64_t first_complete; /* The first one that completed a save; CLOCK_NEVER: none did. */
  bool is_only_seen;      /* Looks have found it, and no event has told of it. */

  int64_t told; /* When a change was last told. */
  int64_t gap;  /* No change is told sooner after that. */
};

static int64_t earlier(int64_t one, int64_t other) { return one < other ? one : other; }
static int64_t later(int64_t one, int64_t other) { return one > other ? one : other; }

/* --- events and looks --- */

static void note_change(struct watcher *watcher, int64_t now, bool is_complete) {
  watcher->last_change = now;
  if (is_complete) watcher->first_complete = earlier(watcher->first_complete, now);
}

/* Looks at every file. Returns whether one differs from its last look. */
static bool look_at_all(struct watcher *watcher) {
  bool changed = false;
  for (size_t i = 0; i < watcher->count; i++) {
    struct file *file = &watcher->files[i];
    struct watch_look look;
    watch_look_take(file->path, &look);
    if (watch_look_equal(&look, &file->look)) continue;
    file->look = look;
    changed = true;
  }
  return changed;
}

/* Watches all folders on the paths. false: a path changed meanwhile. */
static bool walk_once(struct watcher *watcher) {
  bool has_walked = true, has_events = true;
  watch_folders_begin(watcher->folders);
  for (size_t i = 0; i < watcher->count; i++) {
    if (!watch_path_walk(watcher->files[i].path, watch_folders_want, watcher->folders))
      has_walked = false;
    if (watch_look_has_other_ways(watcher->files[i].path)) has_events = false;
  }
  watch_folders_end(watcher->folders);
  watcher->polls = !has_walked || !has_events || !watch_folders_is_reliable(watcher->folders);
  return has_walked;
}

static void walk(struct watcher *watcher) {
  if (!watcher->folders) return;
  bool polled = watcher->polls;
  int tries = WALK_TRIES;
  while (!walk_once(watcher) && --tries > 0) {
  }
  if (!watcher->polls || polled) return;
  look_at_all(watcher);
  watcher->next_look = 0;
}

void watcher_read(struct watcher *watcher, int64_t now) {
  if (!watcher->folders) return;
  struct watch_changes changes = watch_folders_read(watcher->folders);
  if (changes.any) {
    note_change(watcher, now, changes.is_complete);
    watcher->is_only_seen = false;
  }
  if (changes.has_moves) walk(watcher);
}

static void look_if_due(struct watcher *watcher, int64_t now) {
  if (!watcher->polls || now < watcher->next_look) return;
  if (look_at_all(watcher)) {
    if (watcher->last_change == CLOCK_NEVER) watcher->is_only_seen = true;
    note_change(watcher, now, true);
  }
  watcher->next_look = now + (watcher->is_only_seen ? LOOK_QUIET_MS : POLL_MS);
}

/* --- the files --- */

static void free_files(struct file *files, size_t count) {
  for (size_t i = 0; i < count; i++) free(files[i].path);
  free(files);
}

static bool is_watched(const struct watcher *watcher, const char *const *paths, size_t count) {
  if (count != watcher->count) return false;
  for (size_t i = 0; i < count; i++)
    if (strcmp(paths[i], watcher->files[i].path) != 0) return false;
  return true;
}

/* A file that was watched before keeps its look, so that no change of it is missed. */
static void first_look(const struct watcher *watcher, struct file *file) {
  for (size_t i = 0; i < watcher->count; i++) {
    if (strcmp(watcher->files[i].path, file->path) != 0) continue;
    file->look = watcher->files[i].look;
    return;
  }
  watch_look_take(file->path, &file->look);
}

enum status watcher_watch(struct watcher *watcher, const char *const *paths, size_t count) {
  if (is_watched(watcher, paths, count)) return STATUS_OK;
  struct file *files = calloc(count + 1, sizeof *files);
  if (!files) return STATUS_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    files[i].path = strdup(paths[i]);
    if (!files[i].path) {
      free_files(files, i);
      return STATUS_NO_MEMORY;
    }
    if (watcher->polls) first_look(watcher, &files[i]);
  }
  free_files(watcher->files, watcher->count);
  watcher->files = files;
  watcher->count = count;
  walk(watcher);
  return STATUS_OK;
}

bool watcher_polls(const struct watcher *watcher) { return watcher->polls; }

/* --- telling --- */

/* When the change is to be told; CLOCK_NEVER: there is none. */
static int64_t change_deadline(const struct watcher *watcher) {
  if (watcher->last_change == CLOCK_NEVER) return CLOCK_NEVER;
  int64_t quiet = watcher->is_only_seen ? LOOK_QUIET_MS : QUIET_MS;
  int64_t longest = watcher->is_only_seen ? OPEN_LONGEST_MS : LONGEST_MS;
  if (watcher->folders && watch_folders_has_writers(watcher->folders)) {
    quiet = OPEN_QUIET_MS;
    longest = OPEN_LONGEST_MS;
  }
  int64_t deadline = watcher->last_change + quiet;
  if (watcher->first_complete != CLOCK_NEVER)
    deadline = earlier(deadline, watcher->first_complete + longest);
  return later(deadline, watcher->told + watcher->gap);
}

int64_t watcher_deadline(const struct watcher *watcher) {
  int64_t deadline = earlier(watcher->nudge, change_deadline(watcher));
  return watcher->polls && watcher->count > 0 ? earlier(deadline, watcher->next_look) : deadline;
}

void watcher_nudge(struct watcher *watcher, int64_t when) { watcher->nudge = when; }

bool watcher_is_at_rest(struct watcher *watcher, int64_t now) {
  watcher_read(watcher, now);
  return watcher->last_change == CLOCK_NEVER;
}

static void forget_change(struct watcher *watcher, int64_t now) {
  watcher->last_change = CLOCK_NEVER;
  watcher->first_complete = CLOCK_NEVER;
  watcher->is_only_seen = false;
  bool is_burst = watcher->gap > 0 && now - watcher->told <= BURST_MS;
  watcher->gap = is_burst ? earlier(2 * watcher->gap, LONGEST_MS) : FIRST_GAP_MS;
  watcher->told = now;
  if (watcher->folders) watch_folders_forget_writers(watcher->folders);
}

bool watcher_settled(struct watcher *watcher, int64_t now) {
  bool is_nudged = watcher->nudge <= now;
  if (is_nudged) {
    watcher->nudge = CLOCK_NEVER;
    watcher->next_look = earlier(watcher->next_look, now);
  }
  /* A save may have begun, of which the events were not read yet. */
  if (is_nudged || change_deadline(watcher) <= now) watcher_read(watcher, now);
  look_if_due(watcher, now);
  bool has_change = watcher->last_change != CLOCK_NEVER;
  if (has_change ? change_deadline(watcher) > now : !is_nudged) return false;
  if (has_change) forget_change(watcher, now);
  walk(watcher);
  /* The next look must not find again what is told now. */
  if (watcher->polls && has_change) {
    look_at_all(watcher);
    watcher->next_look = now + POLL_MS;
  }
  return true;
}

/* --- life --- */

enum status watcher_create(bool polls, struct watcher **watcher) {
  struct watcher *created = calloc(1, sizeof *created);
  if (!created) return STATUS_NO_MEMORY;
  created->nudge = CLOCK_NEVER;
  created->last_change = CLOCK_NEVER;
  created->first_complete = CLOCK_NEVER;
  if (polls || watch_folders_create(&created->folders) != STATUS_OK) created->polls = true;
  *watcher = created;
  return STATUS_OK;
}

int watcher_descriptor(const struct watcher *watcher) {
  return watcher->folders ? watch_folders_descriptor(watcher->folders) : -1;
}

void watcher_destroy(struct watcher *watcher) {
  if (!watcher) return;
  watch_folders_destroy(watcher->folders);
  free_files(watcher->files, watcher->count);
  free(watcher);
}
