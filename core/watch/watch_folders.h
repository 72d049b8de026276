/* watch_folders.h: the folders that inotify watches, and its events about the names in them.
 *
 * A walk lies between watch_folders_begin() and watch_folders_end(), with a call of
 * watch_folders_want() for each folder and name. What was watched before and is wanted again stays
 * watched without a gap; the rest is no longer watched. If something cannot be watched,
 * watch_folders_is_reliable() is false until a later walk could watch everything. */
#ifndef WATCH_FOLDERS_H
#define WATCH_FOLDERS_H

#include <stdbool.h>

#include "base/status.h"
#include "watch/watch_path.h"

struct watch_folders;

/* What the events of one read mean. */
struct watch_changes {
  bool any;         /* There was an event about a name or a folder that is wanted. */
  bool is_complete; /* One of them completed a save, or changed what a path means. */
  bool has_moves;   /* Names or folders came or went, so that all paths must be walked again. */
};

/* STATUS_ERROR, errno: there is no inotify (ENOSYS, EMFILE ...). STATUS_NO_MEMORY. */
enum status watch_folders_create(struct watch_folders **folders);

/* Readable when there are events. */
int watch_folders_descriptor(const struct watch_folders *folders);

void watch_folders_begin(struct watch_folders *folders);

/* A watch_path_visit; `context` is the struct watch_folders, `path` is the folder's. false: there
 * is no such folder. */
bool watch_folders_want(void *context, enum watch_reason reason, const char *path,
                        const char *name);

void watch_folders_end(struct watch_folders *folders);

/* Whether events tell of every change of what is wanted. They do not if the system had no watch or
 * no memory left, if a folder may not be read, or if other machines can change it (network file
 * systems). */
bool watch_folders_is_reliable(const struct watch_folders *folders);

/* Reads a bounded number of events. If there are more, the descriptor stays readable. */
struct watch_changes watch_folders_read(struct watch_folders *folders);

/* Whether a file is open for writing: it was created or modified, and not closed since. */
bool watch_folders_has_writers(const struct watch_folders *folders);

/* From now on watch_folders_has_writers() counts only files that are written to after this. */
void watch_folders_forget_writers(struct watch_folders *folders);

/* NULL is ignored. */
void watch_folders_destroy(struct watch_folders *folders);

#endif
