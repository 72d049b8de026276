/* watch_path.h: the folders in which something decides what a path means.
 *
 * A path is walked as the kernel would, a component at a time, but every symbolic link on it is
 * told of, and so is the place where it comes to nothing. What is to be watched is visited *before*
 * it is looked at: whatever changes afterwards is heard of, and no change falls in between. */
#ifndef WATCH_PATH_H
#define WATCH_PATH_H

#include <stdbool.h>

enum watch_reason {
  WATCH_WAY,  /* the folder is on the way: what matters is that it stays where it is. No name. */
  WATCH_LOSS, /* the folder has an empty place in a folder of its own, `name`, which may go away
               * unheard when somebody is in it: its removal matters */
  WATCH_NAME  /* the folder has the file, a link, or nothing, by `name`: all that happens to it */
};

/* folder is absolute and has no links in it; both texts live as long as the call. Returns whether
 * the walk is to go on. */
typedef bool watch_path_visit(void *context, enum watch_reason reason, const char *folder,
                              const char *name);

/* Walks a path, which need not lead anywhere; a relative one starts in the current folder. More
 * than 40 links on the way lead nowhere. false: it was broken off, because a visit said so,
 * something changed under the walk, or the path is too long or none of a file's ("", "/", "a/..").
 */
bool watch_path_walk(const char *path, watch_path_visit *visit, void *context);

#endif
