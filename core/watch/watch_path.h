/* watch_path.h: finds the folders that decide where a path leads.
 *
 * It walks a path as the kernel does, one component at a time, and visits every folder, every
 * symbolic link and the place where a component is missing. Each is visited *before* the walk looks
 * at it, so that the visitor can watch it first and no change falls in between. */
#ifndef WATCH_PATH_H
#define WATCH_PATH_H

#include <stdbool.h>

enum watch_reason {
  WATCH_ON_PATH, /* The path leads through the folder, so its moves and its removal matter. */
  WATCH_PARENT,  /* The removal of the folder `name` in it matters, because a component is missing
                  * there. That folder itself tells nothing while a process is in it. */
  WATCH_NAME     /* All that happens to `name` matters: it is the file, a link, or missing. */
};

/* `folder` is absolute and has no links in it; `name` is NULL for WATCH_ON_PATH. Both texts live as
 * long as the call. false ends the walk. */
typedef bool watch_path_visit(void *context, enum watch_reason reason, const char *folder,
                              const char *name);

/* Walks a path, which need not lead anywhere. A relative path starts in the current folder. A path
 * with more than 40 links leads nowhere. false: the walk ended early, because a visit returned
 * false, something changed meanwhile, or the path is too long or no path of a file ("", "/",
 * "a/.."). */
bool watch_path_walk(const char *path, watch_path_visit *visit, void *context);

#endif
