/* watch_look.h: what stat() tells of a file, to find changes that no event tells of.
 *
 * No function opens a file. stat() waits for the file system: if a network file system hangs, the
 * server hangs with it. */
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

/* Looks at the file that the path leads to, through links. */
void watch_look_take(const char *path, struct watch_look *look);

bool watch_look_equal(const struct watch_look *one, const struct watch_look *other);

/* Whether the file may be changed without an event in its folder: it has other names (hard links),
 * or it is a mount point itself, as in containers. */
bool watch_look_has_other_ways(const char *path);

/* Whether other machines can change the folder, so that this kernel has no events: by the type of
 * its file system in statfs(). */
bool watch_look_is_shared(const char *folder);
bool watch_look_is_shared_type(uint32_t type);

#endif
