#include "server/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  NAME_SIZE = 160,
  /* Names that may be taken: by a server that ran before, in the same second. */
  TRIES = 2 * RECORDER_FILES
};

static int create_file(const struct recorder *recorder, const char *name) {
  return openat(recorder->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                S_IRUSR | S_IWUSR);
}

/* Gives up a file that is of no use; errno stays. */
static void discard(const struct recorder *recorder, const char *name, int fd) {
  int saved = errno;
  if (fd >= 0) close(fd);
  unlinkat(recorder->folder, name, 0);
  errno = saved;
}

/* Rights do not tell all: the disk may be full or read-only. */
static enum status try_folder(const struct recorder *recorder) {
  char name[NAME_SIZE];
  snprintf(name, sizeof name, ".parlance-%ld.part", (long)getpid());
  int fd = create_file(recorder, name);
  if (fd < 0) return STATUS_ERROR;
  discard(recorder, name, fd);
  return STATUS_OK;
}

enum status recorder_create(const char *folder, struct recorder **created) {
  struct recorder *recorder = calloc(1, sizeof *recorder);
  if (!recorder) return STATUS_NO_MEMORY;
  recorder->folder = -1;
  if (mkdir(folder, S_IRWXU) == 0 || errno == EEXIST)
    recorder->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (recorder->folder < 0 || try_folder(recorder) != STATUS_OK) {
    int saved = errno;
    recorder_destroy(recorder);
    errno = saved;
    return STATUS_ERROR;
  }
  *created = recorder;
  return STATUS_OK;
}

bool recorder_take_place(struct recorder *recorder) {
  if (recorder->places < RECORDER_FILES) {
    recorder->places++;
    return true;
  }
  if (!recorder->is_full)
    log_event(LOG_WARN, "record_full", "detail",
              "there are as many transcripts as one run of the server writes");
  recorder->is_full = true;
  return false;
}

void recorder_give_back(struct recorder *recorder) { recorder->places--; }

/* Creates `.NAME.part` for the next NAME that is free. Whoever has that file has the name, also
 * before other servers that write to this folder. Returns -1 when none can be had. */
static int create_part(struct recorder *recorder, const char *base, char *name, char *part) {
  for (int tries = 0; tries < TRIES; tries++) {
    snprintf(name, NAME_SIZE, "%s-%zu.transcript", base, ++recorder->number);
    snprintf(part, NAME_SIZE, ".%.*s.part", NAME_SIZE - 8, name);
    int fd = create_file(recorder, part);
    if (fd < 0) {
      if (errno != EEXIST) return -1;
      continue;
    }
    struct stat about;
    if (fstatat(recorder->folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
      return fd;
    discard(recorder, part, fd);
  }
  errno = EEXIST;
  return -1;
}

static enum status write_all(int fd, struct span text) {
  while (text.length > 0) {
    ssize_t written = write(fd, text.data, text.length);
    if (written < 0 && errno != EINTR) return STATUS_ERROR;
    if (written <= 0) continue;
    text.data += written;
    text.length -= (size_t)written;
  }
  return STATUS_OK;
}

enum status recorder_write(struct recorder *recorder, const char *service, int64_t began,
                           struct span text) {
  char base[96], name[NAME_SIZE], part[NAME_SIZE], date[32];
  time_t seconds = (time_t)(began / 1000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  strftime(date, sizeof date, "%Y%m%d-%H%M%S", &parts);
  snprintf(base, sizeof base, "%s-%s", service, date);
  int fd = create_part(recorder, base, name, part);
  if (fd < 0) return STATUS_ERROR;
  bool is_written = write_all(fd, text) == STATUS_OK;
  if (is_written) { /* as far as close() agrees */
    is_written = close(fd) == 0;
    fd = -1;
  }
  if (!is_written || renameat(recorder->folder, part, recorder->folder, name) != 0) {
    discard(recorder, part, fd);
    return STATUS_ERROR;
  }
  log_event(LOG_DEBUG, "recorded", "file", name);
  return STATUS_OK;
}

void recorder_destroy(struct recorder *recorder) {
  if (recorder->folder >= 0) close(recorder->folder);
  free(recorder);
}
