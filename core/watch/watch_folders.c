#include "watch/watch_folders.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watch/watch_look.h"

enum {
  READ_SIZE = 16384, /* a few hundred events, so that a busy folder does not hold up the loop */
  MASK_WAY = IN_DELETE_SELF | IN_MOVE_SELF,
  MASK_LOSS = MASK_WAY | IN_DELETE | IN_MOVED_TO,
  MASK_NAME = MASK_LOSS | IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_ATTRIB,
  /* The walk has followed all links; and who still writes to a file that was deleted or replaced
   * does not write to ours. */
  MASK_HOW = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
};

struct name {
  struct name *next;
  bool wanted;
  bool written;
  char text[];
};

struct folder {
  struct folder *next;
  struct name *names;
  char *path; /* where the last walk found it */
  int watch;
  uint32_t mask;   /* what the kernel was asked for */
  uint32_t wanted; /* what the walk under way asks for; 0: nothing yet */
};

struct watch_folders {
  struct folder *first;
  int fd;
  bool blind;
};

/* --- names --- */

static struct name *find_name(const struct folder *folder, const char *text) {
  struct name *name = folder->names;
  while (name && strcmp(name->text, text) != 0) name = name->next;
  return name;
}

static bool want_name(struct folder *folder, const char *text) {
  struct name *name = find_name(folder, text);
  if (!name) {
    size_t size = strlen(text) + 1;
    name = malloc(sizeof *name + size);
    if (!name) return false;
    *name = (struct name){.next = folder->names};
    memcpy(name->text, text, size);
    folder->names = name;
  }
  name->wanted = true;
  return true;
}

/* Frees the names that are not wanted, or all of them. */
static void sweep_names(struct folder *folder, bool all) {
  struct name **link = &folder->names;
  while (*link) {
    struct name *name = *link;
    if (name->wanted && !all) {
      link = &name->next;
      continue;
    }
    *link = name->next;
    free(name);
  }
}

/* --- folders --- */

static struct folder *find_watch(const struct watch_folders *folders, int watch) {
  struct folder *folder = folders->first;
  while (folder && folder->watch != watch) folder = folder->next;
  return folder;
}

/* One that this walk has already asked for. */
static struct folder *find_wanted(const struct watch_folders *folders, const char *path) {
  struct folder *folder = folders->first;
  while (folder && !(folder->wanted && strcmp(folder->path, path) == 0)) folder = folder->next;
  return folder;
}

static void drop(struct watch_folders *folders, struct folder *dropped) {
  struct folder **link = &folders->first;
  while (*link != dropped) link = &(*link)->next;
  *link = dropped->next;
  sweep_names(dropped, true);
  free(dropped->path);
  free(dropped);
}

static bool set_path(struct folder *folder, const char *path) {
  if (folder->path && strcmp(folder->path, path) == 0) return true;
  char *copy = strdup(path);
  if (!copy) return false;
  free(folder->path);
  folder->path = copy;
  return true;
}

static struct folder *add(struct watch_folders *folders, int watch, const char *path) {
  struct folder *added = calloc(1, sizeof *added);
  if (!added) return NULL;
  added->watch = watch;
  if (!set_path(added, path)) {
    free(added);
    return NULL;
  }
  added->next = folders->first;
  folders->first = added;
  return added;
}

/* Listens in the folder that is at the path now, which is known already if it was listened in
 * before, also at another path. NULL with errno. */
static struct folder *listen_in(struct watch_folders *folders, const char *path, uint32_t mask) {
  int watch = inotify_add_watch(folders->fd, path, mask | MASK_HOW | IN_MASK_ADD);
  if (watch < 0) return NULL;
  struct folder *folder = find_watch(folders, watch);
  if (!folder) {
    folder = add(folders, watch, path);
    if (!folder) inotify_rm_watch(folders->fd, watch);
  } else if (!set_path(folder, path)) {
    folder = NULL;
  }
  if (!folder) errno = ENOMEM;
  return folder;
}

bool watch_folders_want(void *context, enum watch_reason reason, const char *path,
                        const char *name) {
  struct watch_folders *folders = context;
  static const uint32_t masks[] = {
      [WATCH_WAY] = MASK_WAY, [WATCH_LOSS] = MASK_LOSS, [WATCH_NAME] = MASK_NAME};
  uint32_t mask = masks[reason];
  struct folder *folder = find_wanted(folders, path);
  if (!folder || (folder->wanted & mask) != mask) folder = listen_in(folders, path, mask);
  if (!folder && (errno == ENOENT || errno == ENOTDIR)) return false;
  if (!folder) {
    folders->blind = true;
    return true;
  }
  folder->mask |= mask;
  folder->wanted |= mask;
  if (name && !want_name(folder, name)) folders->blind = true;
  if (reason == WATCH_NAME && watch_look_is_shared(path)) folders->blind = true;
  return true;
}

void watch_folders_begin(struct watch_folders *folders) {
  folders->blind = false;
  for (struct folder *folder = folders->first; folder; folder = folder->next) {
    folder->wanted = 0;
    for (struct name *name = folder->names; name; name = name->next) name->wanted = false;
  }
}

/* Asks the kernel for no more than is wanted, so that a busy folder on the way wakes nobody. The
 * path may have come to mean another folder meanwhile: the old one tells of that itself. */
static void narrow(struct watch_folders *folders, struct folder *folder) {
  if (folder->mask == folder->wanted) return;
  int watch = inotify_add_watch(folders->fd, folder->path, folder->wanted | MASK_HOW);
  if (watch == folder->watch)
    folder->mask = folder->wanted;
  else if (watch >= 0 && !find_watch(folders, watch))
    inotify_rm_watch(folders->fd, watch);
}

void watch_folders_end(struct watch_folders *folders) {
  struct folder *next = NULL;
  for (struct folder *folder = folders->first; folder; folder = next) {
    next = folder->next;
    if (folder->wanted) {
      sweep_names(folder, false);
      narrow(folders, folder);
    } else {
      inotify_rm_watch(folders->fd, folder->watch); /* fails when the folder itself is gone */
      drop(folders, folder);
    }
  }
}

bool watch_folders_blind(const struct watch_folders *folders) { return folders->blind; }

/* --- events --- */

/* A new regular file is still to be written; links and folders are complete when they appear. */
static bool is_regular(const struct folder *folder, const char *name) {
  char path[PATH_MAX];
  struct stat about;
  int length = snprintf(path, sizeof path, "%s/%s", folder->path, name);
  return length > 0 && length < PATH_MAX && lstat(path, &about) == 0 && S_ISREG(about.st_mode);
}

static void take_named(const struct folder *folder, struct name *name, uint32_t mask,
                       struct watch_news *news) {
  news->any = true;
  if (mask & IN_MODIFY)
    name->written = true;
  else if (mask & IN_CREATE)
    name->written = is_regular(folder, name->text);
  else if (!(mask & IN_ATTRIB))
    name->written = false;
  if (!(mask & IN_MODIFY) && !((mask & IN_CREATE) && name->written)) news->finished = true;
  if (mask & (IN_CREATE | IN_DELETE | IN_MOVE)) news->moved = true;
}

/* Watch numbers are not used again before all 2^31 were, so what the queue still has of a watch
 * that was removed is known by its number. */
static void take(struct watch_folders *folders, const struct inotify_event *event,
                 struct watch_news *news) {
  static const struct watch_news all = {.any = true, .finished = true, .moved = true};
  if (event->mask & IN_Q_OVERFLOW) *news = all;
  struct folder *folder = find_watch(folders, event->wd);
  if (!folder) return;
  if (event->len > 0) {
    struct name *name = find_name(folder, event->name);
    if (name) take_named(folder, name, event->mask, news);
    return;
  }
  *news = all; /* of the folder itself: the walk that follows drops it if it is gone */
}

struct watch_news watch_folders_read(struct watch_folders *folders) {
  _Alignas(struct inotify_event) char buffer[READ_SIZE];
  struct watch_news news = {0};
  ssize_t length;
  do length = read(folders->fd, buffer, sizeof buffer);
  while (length < 0 && errno == EINTR);
  for (const char *at = buffer; length > 0;) {
    const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
    take(folders, event, &news);
    at += sizeof *event + event->len;
    length -= (ssize_t)(sizeof *event + event->len);
  }
  return news;
}

bool watch_folders_written(const struct watch_folders *folders) {
  for (const struct folder *folder = folders->first; folder; folder = folder->next)
    for (const struct name *name = folder->names; name; name = name->next)
      if (name->written) return true;
  return false;
}

void watch_folders_forget_writers(struct watch_folders *folders) {
  for (struct folder *folder = folders->first; folder; folder = folder->next)
    for (struct name *name = folder->names; name; name = name->next) name->written = false;
}

/* --- life --- */

enum status watch_folders_create(struct watch_folders **folders) {
  struct watch_folders *created = calloc(1, sizeof *created);
  if (!created) return STATUS_NO_MEMORY;
  created->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (created->fd < 0) {
    free(created);
    return STATUS_ERROR;
  }
  *folders = created;
  return STATUS_OK;
}

int watch_folders_descriptor(const struct watch_folders *folders) { return folders->fd; }

void watch_folders_destroy(struct watch_folders *folders) {
  if (!folders) return;
  close(folders->fd);
  while (folders->first) drop(folders, folders->first);
  free(folders);
}
