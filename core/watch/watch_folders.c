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
  READ_SIZE = 16384, /* A few hundred events: a busy folder must not keep the loop waiting. */
  MASK_ON_PATH = IN_DELETE_SELF | IN_MOVE_SELF,
  MASK_PARENT = MASK_ON_PATH | IN_DELETE | IN_MOVED_TO,
  MASK_NAME = MASK_PARENT | IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_ATTRIB,
  /* The walk has followed all links. A program that still writes to a file that was deleted or
   * replaced does not write to the file that is watched. */
  MASK_HOW = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
};

struct name {
  struct name *next;
  bool wanted;     /* The walk that is under way, or the last one, wants it. */
  bool has_writer; /* It was created or modified, and not closed since. */
  char text[];
};

struct folder {
  struct folder *next;
  struct name *names;
  char *path; /* Where the last walk found it. */
  int watch;
  uint32_t mask;   /* The events that the kernel was asked for. */
  uint32_t wanted; /* The events that the walk wants; 0: it has not come here. */
};

struct watch_folders {
  struct folder *first;
  int fd;
  bool is_reliable;
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

/* Frees the names that are not wanted, or all names. */
static void free_names(struct folder *folder, bool all) {
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

/* The folder at the path, if this walk has wanted it before. */
static struct folder *find_wanted(const struct watch_folders *folders, const char *path) {
  struct folder *folder = folders->first;
  while (folder && !(folder->wanted && strcmp(folder->path, path) == 0)) folder = folder->next;
  return folder;
}

static void drop(struct watch_folders *folders, struct folder *dropped) {
  struct folder **link = &folders->first;
  while (*link != dropped) link = &(*link)->next;
  *link = dropped->next;
  free_names(dropped, true);
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

/* Watches the folder that is at the path now. A folder that is watched already, at this path or
 * another, keeps its watch. NULL with errno. */
static struct folder *watch_folder(struct watch_folders *folders, const char *path, uint32_t mask) {
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
      [WATCH_ON_PATH] = MASK_ON_PATH, [WATCH_PARENT] = MASK_PARENT, [WATCH_NAME] = MASK_NAME};
  uint32_t mask = masks[reason];
  struct folder *folder = find_wanted(folders, path);
  if (!folder || (folder->wanted & mask) != mask) folder = watch_folder(folders, path, mask);
  if (!folder && (errno == ENOENT || errno == ENOTDIR)) return false;
  if (!folder) {
    folders->is_reliable = false;
    return true;
  }
  folder->mask |= mask;
  folder->wanted |= mask;
  if (name && !want_name(folder, name)) folders->is_reliable = false;
  if (reason == WATCH_NAME && watch_look_is_shared(path)) folders->is_reliable = false;
  return true;
}

void watch_folders_begin(struct watch_folders *folders) {
  folders->is_reliable = true;
  for (struct folder *folder = folders->first; folder; folder = folder->next) {
    folder->wanted = 0;
    for (struct name *name = folder->names; name; name = name->next) name->wanted = false;
  }
}

/* Asks the kernel for no more events than are wanted, so that a busy folder on the path does not
 * wake the process. If the path leads to another folder by now, an event of the old folder tells.
 */
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
      free_names(folder, false);
      narrow(folders, folder);
    } else {
      inotify_rm_watch(folders->fd, folder->watch); /* Fails if the folder itself is gone. */
      drop(folders, folder);
    }
  }
}

bool watch_folders_is_reliable(const struct watch_folders *folders) { return folders->is_reliable; }

/* --- events --- */

/* A new regular file will be written to. A new link or folder is complete. */
static bool is_regular(const struct folder *folder, const char *name) {
  char path[PATH_MAX];
  struct stat about;
  int length = snprintf(path, sizeof path, "%s/%s", folder->path, name);
  return length > 0 && length < PATH_MAX && lstat(path, &about) == 0 && S_ISREG(about.st_mode);
}

static void take_named(const struct folder *folder, struct name *name, uint32_t mask,
                       struct watch_changes *changes) {
  changes->any = true;
  if (mask & IN_MODIFY)
    name->has_writer = true;
  else if (mask & IN_CREATE)
    name->has_writer = is_regular(folder, name->text);
  else if (!(mask & IN_ATTRIB))
    name->has_writer = false;
  if (!(mask & IN_MODIFY) && !((mask & IN_CREATE) && name->has_writer)) changes->is_complete = true;
  if (mask & (IN_CREATE | IN_DELETE | IN_MOVE)) changes->has_moves = true;
}

/* The queue may still have events of a watch that was removed. No folder has its number: the kernel
 * uses a number again only after all 2^31 others. */
static void take(struct watch_folders *folders, const struct inotify_event *event,
                 struct watch_changes *changes) {
  static const struct watch_changes all = {.any = true, .is_complete = true, .has_moves = true};
  if (event->mask & IN_Q_OVERFLOW) *changes = all;
  struct folder *folder = find_watch(folders, event->wd);
  if (!folder) return;
  if (event->len > 0) {
    struct name *name = find_name(folder, event->name);
    if (name) take_named(folder, name, event->mask, changes);
    return;
  }
  *changes = all; /* It is about the folder itself; if that is gone, the next walk drops it. */
}

struct watch_changes watch_folders_read(struct watch_folders *folders) {
  _Alignas(struct inotify_event) char buffer[READ_SIZE];
  struct watch_changes changes = {0};
  ssize_t length;
  do length = read(folders->fd, buffer, sizeof buffer);
  while (length < 0 && errno == EINTR);
  for (const char *at = buffer; length > 0;) {
    const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
    take(folders, event, &changes);
    at += sizeof *event + event->len;
    length -= (ssize_t)(sizeof *event + event->len);
  }
  return changes;
}

bool watch_folders_has_writers(const struct watch_folders *folders) {
  for (const struct folder *folder = folders->first; folder; folder = folder->next)
    for (const struct name *name = folder->names; name; name = name->next)
      if (name->has_writer) return true;
  return false;
}

void watch_folders_forget_writers(struct watch_folders *folders) {
  for (struct folder *folder = folders->first; folder; folder = folder->next)
    for (struct name *name = folder->names; name; name = name->next) name->has_writer = false;
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
