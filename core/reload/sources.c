#include "reload/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Eight bytes are taken at a time, because all connections may wait meanwhile. Each step is a
 * bijection of the digest, so two files of one length that differ in one word always have two
 * digests. The digest need not resist attacks: an author who makes two versions with one digest
 * harms only himself. */
static uint64_t digest_word(uint64_t digest, uint64_t word) {
  digest = (digest ^ word) * 0x9e3779b97f4a7c15;
  return digest ^ digest >> 32;
}

static uint64_t digest_of(const char *bytes, size_t length) {
  uint64_t digest = 0xcbf29ce484222325, word;
  for (; length >= sizeof word; bytes += sizeof word, length -= sizeof word) {
    memcpy(&word, bytes, sizeof word);
    digest = digest_word(digest, word);
  }
  if (length == 0) return digest;
  word = 0;
  memcpy(&word, bytes, length);
  return digest_word(digest, word);
}

/* Reads to the end of the file. The caller frees *bytes, also after a failure. */
static enum status read_all(int fd, char **bytes, size_t *length) {
  size_t capacity = 0;
  *bytes = NULL;
  *length = 0;
  for (;;) {
    if (*length == capacity) {
      capacity = capacity ? 2 * capacity : 16 * 1024;
      char *grown = realloc(*bytes, capacity);
      if (!grown) return STATUS_NO_MEMORY;
      *bytes = grown;
    }
    ssize_t got = read(fd, *bytes + *length, capacity - *length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return STATUS_ERROR;
    if (got == 0) return STATUS_OK;
    *length += (size_t)got;
    if (*length > SOURCE_MAX) {
      errno = EFBIG;
      return STATUS_ERROR;
    }
  }
}

/* Tells whether opening or reading the file could wait for ever, because it is not regular. */
static bool is_special(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

static enum status read_file(const char *path, bool takes_special, char **bytes, size_t *length) {
  *bytes = NULL;
  *length = 0;
  if (!takes_special && is_special(path)) {
    errno = EINVAL;
    return STATUS_ERROR;
  }
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (takes_special ? 0 : O_NONBLOCK));
  if (fd < 0) return STATUS_ERROR;
  enum status status = read_all(fd, bytes, length);
  int error = errno;
  close(fd);
  if (status != STATUS_OK) {
    free(*bytes);
    *bytes = NULL;
  }
  errno = error;
  return status;
}

static struct source *find(const struct sources *sources, const char *path) {
  for (size_t i = 0; i < sources->count; i++)
    if (strcmp(sources->items[i].path, path) == 0) return &sources->items[i];
  return NULL;
}

const struct source *sources_find(const struct sources *sources, const char *path) {
  return find(sources, path);
}

void sources_each(const struct sources *sources, void (*visit)(void *context, const char *path),
                  void *context) {
  for (size_t i = 0; i < sources->count; i++) visit(context, sources->items[i].path);
}

/* NULL: not enough memory. */
static struct source *add(struct sources *sources, const char *path) {
  char *copy = strdup(path);
  struct source *items = realloc(sources->items, (sources->count + 1) * sizeof *items);
  if (items) sources->items = items;
  if (!items || !copy) {
    free(copy);
    return NULL;
  }
  items[sources->count] = (struct source){.path = copy};
  return &items[sources->count++];
}

/* The length of a file that cannot be read. Its digest is the reason. */
enum { UNREADABLE = SOURCE_MAX + 1 };

static bool is_absence(int error) {
  return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG;
}

static bool may_pass(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO || error == EAGAIN;
}

/* Sets the state, length and digest of the source from the result of read_file(). */
static void describe(struct source *source, enum status status, const char *bytes, size_t length) {
  source->is_there = status == STATUS_OK || !is_absence(errno);
  source->length = status == STATUS_OK ? length : UNREADABLE;
  source->digest = status == STATUS_OK ? digest_of(bytes, length) : (uint64_t)errno;
}

/* STATUS_OK: also if the limits are reached and nothing is noted. */
static enum status note(struct sources *sources, const char *path, const struct source *now) {
  struct source *noted = find(sources, path);
  if (noted && noted->is_there) return STATUS_OK;
  if (!noted) {
    if (sources->count == SOURCES_MAX) return STATUS_OK;
    if (!now->is_there && (sources->absent_count == ABSENT_MAX || now->digest == ENAMETOOLONG))
      return STATUS_OK;
    noted = add(sources, path);
    if (!noted) return STATUS_NO_MEMORY;
    if (!now->is_there) sources->absent_count++;
  } else if (now->is_there)
    sources->absent_count--;
  noted->is_there = now->is_there;
  noted->length = now->length;
  noted->digest = now->digest;
  return STATUS_OK;
}

enum status sources_read(struct sources *sources, const char *path, char **bytes, size_t *length) {
  struct source now;
  bool takes_special = sources->takes_special && sources->count == 0;
  enum status status = read_file(path, takes_special, bytes, length);
  int error = errno;
  describe(&now, status, *bytes, *length);
  if (status != STATUS_OK && may_pass(error)) sources->is_uncertain = true;
  enum status noted = note(sources, path, &now);
  errno = error;
  if (noted == STATUS_OK) return status;
  free(*bytes);
  *bytes = NULL;
  return noted;
}

void sources_note(struct sources *sources, const char *path) {
  char *bytes;
  size_t length;
  (void)sources_read(sources, path, &bytes, &length);
  free(bytes);
}

enum status sources_take(struct sources *sources, const struct source *source) {
  return note(sources, source->path, source);
}

void sources_join(struct sources *sources, const struct sources *more) {
  for (size_t i = 0; i < more->count; i++) (void)sources_take(sources, &more->items[i]);
}

/* A sum does not depend on the order. */
uint64_t sources_fingerprint(const struct sources *sources) {
  uint64_t sum = 0;
  for (size_t i = 0; i < sources->count; i++) {
    const struct source *source = &sources->items[i];
    uint64_t words[] = {digest_of(source->path, strlen(source->path)), source->length,
                        source->digest};
    if (source->is_there) sum += digest_of((const char *)words, sizeof words);
  }
  return sum;
}

/* Reads the file again, and tells whether it differs. *now is what it is now, without a path. The
 * caller frees now->bytes, which is NULL if the file cannot be read. */
static bool read_again(const struct source *source, struct source *now) {
  *now = (struct source){.is_there = true};
  if (is_special(source->path)) return !source->is_there;
  enum status status = read_file(source->path, false, &now->bytes, &now->byte_count);
  describe(now, status, now->bytes, now->byte_count);
  return source->is_there != now->is_there ||
         (now->is_there && (source->length != now->length || source->digest != now->digest));
}

static bool differs_from_disk(const struct source *source) {
  struct source now;
  bool has = read_again(source, &now);
  free(now.bytes);
  return has;
}

static void keep_text(struct source *source, const struct source *now) {
  source->is_there = true;
  source->length = now->length;
  source->digest = now->digest;
  source->content = SOURCE_TEXT;
  source->bytes = now->bytes;
  source->byte_count = now->byte_count;
}

static bool is_gone(const char *path) {
  struct stat about;
  return stat(path, &about) != 0 && is_absence(errno);
}

bool sources_changed(const struct sources *sources) {
  for (size_t i = 0; i < sources->count; i++)
    if (differs_from_disk(&sources->items[i])) return true;
  return false;
}

enum status sources_copy(const struct sources *sources, struct sources *copy) {
  *copy = (struct sources){0};
  for (size_t i = 0; i < sources->count; i++) {
    const struct source *source = &sources->items[i];
    struct source *added = add(copy, source->path);
    if (!added) {
      sources_deinit(copy);
      return STATUS_NO_MEMORY;
    }
    added->is_there = source->is_there;
    added->length = source->length;
    added->digest = source->digest;
  }
  copy->at_load = sources->at_load;
  return STATUS_OK;
}

size_t sources_refresh(struct sources *sources) {
  size_t changed = 0, room = SOURCE_MAX;
  for (size_t i = 0; i < sources->count; i++) {
    struct source *source = &sources->items[i];
    struct source now;
    source->has_changed = read_again(source, &now);
    if (source->has_changed) changed++;
    if (source->is_there && !now.is_there) sources->has_lost_file = true;
    if (i < sources->at_load && now.bytes && now.byte_count <= room) {
      room -= now.byte_count;
      keep_text(source, &now);
    } else
      free(now.bytes);
  }
  return changed;
}

bool sources_have_lost_file(const struct sources *sources) {
  for (size_t i = 0; i < sources->count; i++)
    if (sources->items[i].is_there && is_gone(sources->items[i].path)) return true;
  return false;
}

bool sources_lack_file_of(const struct sources *sources, const struct sources *others) {
  for (size_t i = 0; i < sources->count; i++) {
    if (sources->items[i].is_there) continue;
    const struct source *other = find(others, sources->items[i].path);
    if (other && other->is_there) return true;
  }
  return false;
}

bool sources_agree(const struct sources *sources, const struct sources *others) {
  for (size_t i = 0; i < sources->count; i++) {
    const struct source *one = &sources->items[i], *other = find(others, one->path);
    if (one->content == SOURCE_NOTHING || !other) continue;
    bool is_same = one->is_there == other->is_there && one->length == other->length &&
                   one->digest == other->digest;
    if (!is_same) return false;
  }
  return true;
}

void sources_deinit(struct sources *sources) {
  for (size_t i = 0; i < sources->count; i++) {
    free(sources->items[i].path);
    free(sources->items[i].bytes);
  }
  free(sources->items);
  *sources = (struct sources){0};
}
