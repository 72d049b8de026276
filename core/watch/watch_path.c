#include "watch/watch_path.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 }; /* the kernel's own limit */

struct walk {
  watch_path_visit *visit;
  void *context;
  char folder[PATH_MAX]; /* where the walk is: absolute, real, without a slash at its end */
  char way[PATH_MAX];
  const char *rest; /* of the way: what is still to go */
  int links;
};

enum kind { KIND_MISSING, KIND_FOLDER, KIND_LINK, KIND_OTHER };

static bool fits(int length) { return length >= 0 && length < PATH_MAX; }

static enum kind look(const char *path) {
  struct stat about;
  if (lstat(path, &about) != 0) return KIND_MISSING;
  if (S_ISDIR(about.st_mode)) return KIND_FOLDER;
  return S_ISLNK(about.st_mode) ? KIND_LINK : KIND_OTHER;
}

static bool tell(const struct walk *walk, enum watch_reason reason, const char *name) {
  return walk->visit(walk->context, reason, *walk->folder ? walk->folder : "/", name);
}

static bool enter(struct walk *walk, const char *path) {
  memcpy(walk->folder, path, strlen(path) + 1); /* both have room for any path */
  return tell(walk, WATCH_WAY, NULL);
}

static void leave(struct walk *walk) {
  char *slash = strrchr(walk->folder, '/');
  if (slash) *slash = '\0';
}

/* The folder that nothing was found in is looked after from the one that holds it. */
static bool visit_parent(const struct walk *walk) {
  char parent[PATH_MAX];
  memcpy(parent, walk->folder, sizeof parent);
  char *slash = strrchr(parent, '/');
  if (!slash) return true; /* the root stays */
  *slash = '\0';
  return walk->visit(walk->context, WATCH_LOSS, *parent ? parent : "/", slash + 1);
}

/* Puts a link's target in front of what is still to go. */
static bool follow(struct walk *walk, const char *link) {
  char target[PATH_MAX];
  char way[PATH_MAX];
  ssize_t length = readlink(link, target, sizeof target);
  if (length <= 0 || length >= PATH_MAX) return false;
  target[length] = '\0';
  if (!fits(snprintf(way, sizeof way, "%s/%s", target, walk->rest))) return false;
  memcpy(walk->way, way, sizeof walk->way);
  walk->rest = walk->way;
  if (*target == '/') *walk->folder = '\0';
  return true;
}

/* Takes one component; *end: there is nowhere to go from there. */
static bool step(struct walk *walk, const char *name, bool last, bool *end) {
  char path[PATH_MAX];
  if (!fits(snprintf(path, sizeof path, "%s/%s", walk->folder, name))) return false;
  enum kind before = look(path);
  if (before == KIND_FOLDER && !last) return enter(walk, path);
  if (before == KIND_MISSING && !visit_parent(walk)) return false;
  if (!tell(walk, WATCH_NAME, name)) return false;
  enum kind kind = look(path);
  if (kind == KIND_FOLDER && !last) return enter(walk, path);
  if (kind == KIND_LINK && ++walk->links <= LINKS_MAX) return follow(walk, path);
  *end = true;
  return kind != KIND_MISSING || before == KIND_MISSING;
}

/* Copies the next component; false when there is none, or none that a folder could hold. */
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
  if (!fits(snprintf(walk->way, sizeof walk->way, "%s/%s", here, path))) return false;
  walk->rest = walk->way;
  return tell(walk, WATCH_WAY, NULL);
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
