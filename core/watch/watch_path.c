#include "watch/watch_path.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 }; /* This is the kernel's own limit. */

struct walk {
  watch_path_visit *visit;
  void *context;
  char folder[PATH_MAX];    /* Where the walk is: absolute, without links or a slash at the end. */
  char remaining[PATH_MAX]; /* The components that are not walked yet, from `rest` on. */
  const char *rest;
  int links; /* The number of links that were followed. */
};

enum kind { KIND_MISSING, KIND_FOLDER, KIND_LINK, KIND_OTHER };

static bool fits(int length) { return length >= 0 && length < PATH_MAX; }

static enum kind look(const char *path) {
  struct stat about;
  if (lstat(path, &about) != 0) return KIND_MISSING;
  if (S_ISDIR(about.st_mode)) return KIND_FOLDER;
  return S_ISLNK(about.st_mode) ? KIND_LINK : KIND_OTHER;
}

static bool visit_here(const struct walk *walk, enum watch_reason reason, const char *name) {
  return walk->visit(walk->context, reason, *walk->folder ? walk->folder : "/", name);
}

static bool enter(struct walk *walk, const char *path) {
  memcpy(walk->folder, path, strlen(path) + 1); /* Both hold PATH_MAX bytes. */
  return visit_here(walk, WATCH_ON_PATH, NULL);
}

static void leave(struct walk *walk) {
  char *slash = strrchr(walk->folder, '/');
  if (slash) *slash = '\0';
}

/* Visits the folder that holds the one in which a component is missing. */
static bool visit_parent(const struct walk *walk) {
  char parent[PATH_MAX];
  memcpy(parent, walk->folder, sizeof parent);
  char *slash = strrchr(parent, '/');
  if (!slash) return true; /* The root is never removed. */
  *slash = '\0';
  return walk->visit(walk->context, WATCH_PARENT, *parent ? parent : "/", slash + 1);
}

/* Puts a link's target in front of the components that are not walked yet. */
static bool follow(struct walk *walk, const char *link) {
  char target[PATH_MAX];
  char joined[PATH_MAX];
  ssize_t length = readlink(link, target, sizeof target);
  if (length <= 0 || length >= PATH_MAX) return false;
  target[length] = '\0';
  if (!fits(snprintf(joined, sizeof joined, "%s/%s", target, walk->rest))) return false;
  memcpy(walk->remaining, joined, sizeof walk->remaining);
  walk->rest = walk->remaining;
  if (*target == '/') *walk->folder = '\0';
  return true;
}

/* Walks one component. *end becomes true when the path goes no further. */
static bool step(struct walk *walk, const char *name, bool last, bool *end) {
  char path[PATH_MAX];
  if (!fits(snprintf(path, sizeof path, "%s/%s", walk->folder, name))) return false;
  enum kind before = look(path);
  if (before == KIND_FOLDER && !last) return enter(walk, path);
  if (before == KIND_MISSING && !visit_parent(walk)) return false;
  if (!visit_here(walk, WATCH_NAME, name)) return false;
  enum kind kind = look(path);
  if (kind == KIND_FOLDER && !last) return enter(walk, path);
  if (kind == KIND_LINK && ++walk->links <= LINKS_MAX) return follow(walk, path);
  *end = true;
  return kind != KIND_MISSING || before == KIND_MISSING;
}

/* Copies the next component. false: there is none, or it is too long for a name. */
static bool take_name(struct walk *walk, char name[NAME_MAX + 1]) {
  walk->rest += strspn(walk->rest, "/");
  size_t length = strcspn(walk->rest, "/");
  if (length == 0 || length > NAME_MAX) return false;
  memcpy(name, walk->rest, length);
  name[length] = '\0';
  walk->rest += length;
  walk->rest += strspn(walk->rest, "/");
  return true;
}

static bool start(struct walk *walk, const char *path) {
  char here[PATH_MAX] = "";
  if (*path == '\0') return false;
  if (*path != '/' && !getcwd(here, sizeof here)) return false;
  if (!fits(snprintf(walk->remaining, sizeof walk->remaining, "%s/%s", here, path))) return false;
  walk->rest = walk->remaining;
  return visit_here(walk, WATCH_ON_PATH, NULL);
}

bool watch_path_walk(const char *path, watch_path_visit *visit, void *context) {
  struct walk walk;
  walk.visit = visit;
  walk.context = context;
  walk.folder[0] = '\0';
  walk.links = 0;
  if (!start(&walk, path)) return false;
  char name[NAME_MAX + 1];
  bool end = false;
  while (!end && take_name(&walk, name)) {
    if (strcmp(name, ".") == 0) continue;
    if (strcmp(name, "..") == 0)
      leave(&walk);
    else if (!step(&walk, name, *walk.rest == '\0', &end))
      return false;
  }
  return end;
}
