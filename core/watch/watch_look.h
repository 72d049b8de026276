/* watch_look.h: what a file looks like from outside, for where no events tell of changes.
 *
 * Nothing here opens a file. stat() waits for the file system: one that hangs (a network's) hangs
 * the server too. */
#ifndef WATCH_LOOK_H
#define WATCH_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct watch_look {
  bool exists;
  dev_t device;
  ino_t inode;
  off_t size;
  struct timespec modified;
  struct timespec changed;
};

/* Looks at what the path leads to, links followed. */
void watch_look_take(const char *path, struct watch_look *look);

bool watch_look_equal(const struct watch_look *one, const struct watch_look *other);

/* Whether the file may be changed by a way that its folder hears nothing of: it has other names
 * (hard links), or is mounted by itself, as containers do it. */
bool watch_look_has_other_ways(const char *path);

/* Whether the folder is on a file system where others make changes that this kernel hears nothing
 * of, by its type in statfs(). */
bool watch_look_is_shared(const char *folder);
bool watch_look_is_shared_type(uint32_t type);

#endif
