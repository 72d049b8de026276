#include "watch/watcher.h"

#include <stdlib.h>
#include <string.h>

#include "watch/watch_folders.h"
#include "watch/watch_look.h"
#include "watch/watch_path.h"

enum {
  /* After an event that completes a save. An editor's save is several events, microseconds apart,
   * and a checkout is many files. */
  REST_MS = 10,
  /* While one is not complete: a truncated or half written file is of no use, but not all who write
   * close the file. */
  WRITER_REST_MS = 200,
  /* Since the first complete save, however many follow: saving all the time is not to hide it. */
  REST_LIMIT_MS = 100,
  /* From one telling to the next: twice as long each time, from the first of these to the second,
   * as long as they follow each other. A person who saves two files in a row does not wait, and a
   * program that saves all the time costs ten looks a second. */
  FIRST_GAP_MS = 20,
  LAST_GAP_MS = 100,
  BURST_MS = 200, /* they follow each other if not farther apart than this */
  /* The same while a further file is being written: it may take that long to be closed. */
  WRITER_LIMIT_MS = 500,

  LOOK_MS = 250,      /* between two looks, where there are no events */
  LOOK_AGAIN_MS = 20, /* when something looks different: is that all? */

  WALK_TRIES = 3 /* a walk is broken off when a folder goes away under it, which is rare */
};

struct watcher {
  struct watch_folders *folders; /* NULL: no events */
  char **paths;
  struct watch_look *looks; /* one for each path */
  size_t count;
  int64_t nudge;

  /* Events that have not been told yet. */
  int64_t last_event;     /* CLOCK_NEVER: there is none */
  int64_t first_finished; /* the first that completes a save; CLOCK_NEVER: none does */
  int64_t told;           /* when events were last told */
  int64_t gap;            /* before that much later they are not told again; 0 at first */

  /* Looks. */
  bool polls;
  int64_t next_look;
  int64_t first_changed; /* the first look that was different; CLOCK_NEVER: none was */
};

/* --- walks and looks --- */

/* Looks at every file; true: one is not what it was at the last look. */
static bool look_at_all(struct watcher *watcher) {
  bool changed = false;
  for (size_t i = 0; i < watcher->count; i++) {
    struct watch_look look;
    watch_look_take(watcher->paths[i], &look);
    if (watch_look_equal(&look, &watcher->looks[i])) continue;
    watcher->looks[i] = look;
    changed = true;
  }
  return changed;
}

/* Listens wherever the paths lead now. false: not everywhere. */
static bool walk_once(struct watcher *watcher) {
  bool walked = true;
  bool heard = true;
  watch_folders_begin(watcher->folders);
  for (size_t i = 0; i < watcher->count; i++) {
    if (!watch_path_walk(watcher->paths[i], watch_folders_want, watcher->folders)) walked = false;
    if (watch_look_has_other_ways(watcher->paths[i])) heard = false;
  }
  watch_folders_end(watcher->folders);
  watcher->polls = !walked || !heard || watch_folders_blind(watcher->folders);
  return walked;
}

static void walk(struct watcher *watcher) {
  if (!watcher->folders) return;
  bool polled = watcher->polls;
  int tries = WALK_TRIES;
  while (!walk_once(watcher) && --tries > 0) {
  }
  if (!watcher->polls) {
    watcher->first_changed = CLOCK_NEVER;
  } else if (!polled) {
    look_at_all(watcher);
    watcher->next_look = 0;
  }
}

/* --- the files --- */

static void free_paths(char **paths, size_t count) {
  for (size_t i = 0; paths && i < count; i++) free(paths[i]);
  free(paths);
}

static bool is_watched(const struct watcher *watcher, const char *const *paths, size_t count) {
  if (count != watcher->count) return false;
  for (size_t i = 0; i < count; i++)
    if (strcmp(paths[i], watcher->paths[i]) != 0) return false;
  return true;
}

static char **copy_paths(const char *const *paths, size_t count) {
  char **copies = calloc(count, sizeof *copies);
  for (size_t i = 0; copies && i < count; i++) {
    copies[i] = strdup(paths[i]);
    if (copies[i]) continue;
    free_paths(copies, i);
    return NULL;
  }
  return copies;
}

/* A file that was watched before keeps its look, with what it has still to tell. */
static void first_look(const struct watcher *watcher, const char *path, struct watch_look *look) {
  for (size_t i = 0; i < watcher->count; i++) {
    if (strcmp(watcher->paths[i], path) != 0) continue;
    *look = watcher->looks[i];
    return;
  }
  watch_look_take(path, look);
}

static void replace_paths(struct watcher *watcher, char **paths, struct watch_look *looks,
                          size_t count) {
  free_paths(watcher->paths, watcher->count);
  free(watcher->looks);
  watcher->paths = paths;
  watcher->looks = looks;
  watcher->count = count;
}

enum status watcher_watch(struct watcher *watcher, const char *const *paths, size_t count) {
  if (is_watched(watcher, paths, count)) return STATUS_OK;
  char **copies = NULL;
  struct watch_look *looks = NULL;
  if (count > 0) {
    copies = copy_paths(paths, count);
    looks = calloc(count, sizeof *looks);
    if (!copies || !looks) {
      free_paths(copies, count);
      free(looks);
      return STATUS_NO_MEMORY;
    }
  }
  if (watcher->polls)
    for (size_t i = 0; i < count; i++) first_look(watcher, paths[i], &looks[i]);
  replace_paths(watcher, copies, looks, count);
  walk(watcher);
  return STATUS_OK;
}

bool watcher_polls(const struct watcher *watcher) { return watcher->polls; }

/* --- settling --- */

static int64_t earlier(int64_t one, int64_t other) { return one < other ? one : other; }

static int64_t rest_deadline(const struct watcher *watcher) {
  if (watcher->last_event == CLOCK_NEVER) return CLOCK_NEVER;
  bool written = watch_folders_written(watcher->folders);
  int64_t deadline = watcher->last_event + (written ? WRITER_REST_MS : REST_MS);
  if (watcher->first_finished != CLOCK_NEVER) {
    int64_t limit = watcher->first_finished + (written ? WRITER_LIMIT_MS : REST_LIMIT_MS);
    deadline = earlier(deadline, limit);
  }
  int64_t not_before = watcher->told + watcher->gap;
  return deadline > not_before ? deadline : not_before;
}

int64_t watcher_deadline(const struct watcher *watcher) {
  int64_t deadline = earlier(watcher->nudge, rest_deadline(watcher));
  return watcher->polls && watcher->count > 0 ? earlier(deadline, watcher->next_look) : deadline;
}

void watcher_read(struct watcher *watcher, int64_t now) {
  if (!watcher->folders) return;
  struct watch_news news = watch_folders_read(watcher->folders);
  if (!news.any) return;
  watcher->last_event = now;
  if (news.finished) watcher->first_finished = earlier(watcher->first_finished, now);
  if (news.moved) walk(watcher);
}

void watcher_nudge(struct watcher *watcher, int64_t when) { watcher->nudge = when; }

static bool events_settled(struct watcher *watcher, int64_t now) {
  if (rest_deadline(watcher) > now) return false;
  watcher_read(watcher, now); /* the next save may have begun, unheard as yet */
  if (rest_deadline(watcher) > now) return false;
  watcher->last_event = CLOCK_NEVER;
  watcher->first_finished = CLOCK_NEVER;
  if (watcher->gap == 0 || now - watcher->told > BURST_MS)
    watcher->gap = FIRST_GAP_MS;
  else
    watcher->gap = earlier(2 * watcher->gap, LAST_GAP_MS);
  watcher->told = now;
  watch_folders_forget_writers(watcher->folders);
  return true;
}

static bool looks_settled(struct watcher *watcher, int64_t now) {
  if (!watcher->polls || now < watcher->next_look) return false;
  bool changed = look_at_all(watcher);
  if (changed) watcher->first_changed = earlier(watcher->first_changed, now);
  bool pending = watcher->first_changed != CLOCK_NEVER;
  bool settled = pending && (!changed || now - watcher->first_changed >= WRITER_LIMIT_MS);
  if (settled) watcher->first_changed = CLOCK_NEVER;
  watcher->next_look = now + (pending && !settled ? LOOK_AGAIN_MS : LOOK_MS);
  return settled;
}

/* A save may be under way, unheard and unseen as yet; then its rest does instead of the nudge. */
static bool take_nudge(struct watcher *watcher, int64_t now) {
  if (watcher->nudge > now) return false;
  watcher->nudge = CLOCK_NEVER;
  watcher_read(watcher, now);
  watcher->next_look = earlier(watcher->next_look, now);
  return true;
}

bool watcher_is_at_rest(struct watcher *watcher, int64_t now) {
  watcher_read(watcher, now);
  return watcher->last_event == CLOCK_NEVER && watcher->first_changed == CLOCK_NEVER;
}

bool watcher_settled(struct watcher *watcher, int64_t now) {
  bool nudged = take_nudge(watcher, now);
  bool looked = looks_settled(watcher, now);
  bool heard = events_settled(watcher, now);
  if (!looked && !heard && !(nudged && watcher_is_at_rest(watcher, now))) return false;
  walk(watcher);
  /* What the events have told is not to be told again by the looks. */
  if (watcher->polls && heard) look_at_all(watcher);
  return true;
}

/* --- life --- */

enum status watcher_create(bool polls, struct watcher **watcher) {
  struct watcher *created = calloc(1, sizeof *created);
  if (!created) return STATUS_NO_MEMORY;
  created->nudge = CLOCK_NEVER;
  created->last_event = CLOCK_NEVER;
  created->first_finished = CLOCK_NEVER;
  created->first_changed = CLOCK_NEVER;
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
  free_paths(watcher->paths, watcher->count);
  free(watcher->looks);
  free(watcher);
}
