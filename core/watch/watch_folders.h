/* watch_folders.h: the folders that inotify listens in, and what it says about the names in them.
 *
 * Between begin and end, watch_folders_want() is told all that is wanted from then on; what is
 * watched already stays so without a gap, and the rest goes. Nothing here fails for good: what
 * cannot be listened to makes watch_folders_blind() true until a later walk has it all. */
#ifndef WATCH_FOLDERS_H
#define WATCH_FOLDERS_H

#include <stdbool.h>

#include "base/status.h"
#include "watch/watch_path.h"

struct watch_folders;

/* What a read has brought. */
struct watch_news {
  bool any;
  bool finished; /* something that completes a save, or changes what a path means */
  bool moved;    /* names or folders came or went: the paths are to be walked again */
};

/* STATUS_ERROR: there is no inotify to be had (ENOSYS, EMFILE ...). */
enum status watch_folders_create(struct watch_folders **folders);

/* Readable when there is something to read. */
int watch_folders_descriptor(const struct watch_folders *folders);

void watch_folders_begin(struct watch_folders *folders);

/* A watch_path_visit; the context is the struct watch_folders, path the folder's. false: the folder
 * is not there. */
bool watch_folders_want(void *context, enum watch_reason reason, const char *path,
                        const char *name);

void watch_folders_end(struct watch_folders *folders);

/* Whether something wanted cannot be heard: no watch or memory was left, a folder may not be read,
 * or others change it from elsewhere (network file systems). */
bool watch_folders_blind(const struct watch_folders *folders);

/* Takes what has happened, a bounded piece of it; what is left keeps the descriptor readable. */
struct watch_news watch_folders_read(struct watch_folders *folders);

/* Whether a name is being written: it was created or modified, and not yet closed. */
bool watch_folders_written(const struct watch_folders *folders);

/* Forgets about those who write: they take too long. */
void watch_folders_forget_writers(struct watch_folders *folders);

/* NULL is ignored. */
void watch_folders_destroy(struct watch_folders *folders);

#endif
