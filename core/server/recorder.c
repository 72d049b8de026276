#include "server/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
  NAME_SIZE = RECORDER_NAME_SIZE,
  PATIENCE = 5, /* s for what is still to be written when the server stops */
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

static void write_file(struct recorder *recorder, struct recorder_job *job) {
  char base[96], part[NAME_SIZE], date[32];
  time_t seconds = (time_t)(job->began / 1000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  strftime(date, sizeof date, "%Y%m%d-%H%M%S", &parts);
  snprintf(base, sizeof base, "%s-%s", job->service, date);
  int fd = create_part(recorder, base, job->name, part);
  if (fd < 0) {
    job->error = errno;
    return;
  }
  bool is_written = write_all(fd, buffer_bytes(job->text.text)) == STATUS_OK;
  if (is_written) { /* as far as close() agrees */
    is_written = close(fd) == 0;
    fd = -1;
  }
  if (is_written && renameat(recorder->folder, part, recorder->folder, job->name) == 0) return;
  job->error = errno;
  discard(recorder, part, fd);
}

/* ---- the writer, a thread of its own ------------------------------------------------------- */

static void do_job(struct recorder *recorder, struct recorder_job *job) {
  job->render(job);
  if (job->text.is_incomplete)
    job->error = ENOMEM;
  else
    write_file(recorder, job);
}

static struct recorder_job *next_job(struct recorder *recorder) {
  pthread_mutex_lock(&recorder->lock);
  while (!recorder->first && !recorder->is_ending)
    pthread_cond_wait(&recorder->wake, &recorder->lock);
  struct recorder_job *job = recorder->first;
  if (job) recorder->first = job->next;
  if (!recorder->first) recorder->last = NULL;
  pthread_mutex_unlock(&recorder->lock);
  return job;
}

static void *write_jobs(void *context) {
  struct recorder *recorder = context;
  const uint64_t one = 1;
  for (struct recorder_job *job; (job = next_job(recorder)) != NULL;) {
    do_job(recorder, job);
    pthread_mutex_lock(&recorder->lock);
    job->next = recorder->done;
    recorder->done = job;
    pthread_mutex_unlock(&recorder->lock);
    ssize_t written = write(recorder->event, &one, sizeof one); /* fails only where it is awake */
    (void)written;
  }
  return NULL;
}

/* Signals are for the loop's thread. */
static bool start_writer(struct recorder *recorder) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  recorder->has_writer = pthread_create(&recorder->writer, NULL, write_jobs, recorder) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return recorder->has_writer;
}

/* ---- the loop's side ----------------------------------------------------------------------- */

static void finish(struct recorder *recorder, struct recorder_job *job) {
  struct log_line line;
  recorder->memory -= job->memory;
  if (job->error == 0)
    log_event(LOG_DEBUG, "recorded", "file", job->name);
  else {
    recorder_give_back(recorder);
    if (log_begin_limited(&line, LOG_ERROR, "record_failed", &recorder->limit,
                          clock_coarse_milliseconds())) {
      log_text(&line, "service", job->service);
      log_text(&line, "peer", job->peer);
      log_integer(&line, "port", job->port);
      log_text(&line, "detail", strerror(job->error));
      log_end(&line);
    }
  }
  job->discard(job);
}

static void reap(struct recorder *recorder) {
  pthread_mutex_lock(&recorder->lock);
  struct recorder_job *done = recorder->done;
  recorder->done = NULL;
  pthread_mutex_unlock(&recorder->lock);
  while (done) {
    struct recorder_job *job = done;
    done = job->next;
    finish(recorder, job);
  }
}

static void ready(struct event_handler *event_handler, unsigned events) {
  struct recorder *recorder = (struct recorder *)event_handler;
  uint64_t count;
  (void)events;
  while (read(recorder->event, &count, sizeof count) > 0) continue;
  reap(recorder);
}

void recorder_submit(struct recorder *recorder, struct recorder_job *job) {
  job->next = NULL;
  if (!recorder->has_writer && !start_writer(recorder)) { /* better slowly than not at all */
    do_job(recorder, job);
    finish(recorder, job);
    return;
  }
  pthread_mutex_lock(&recorder->lock);
  if (recorder->last)
    recorder->last->next = job;
  else
    recorder->first = job;
  recorder->last = job;
  pthread_cond_signal(&recorder->wake);
  pthread_mutex_unlock(&recorder->lock);
}

/* False: it does not come to an end; a disk that hangs must not keep the server. */
static bool end_writer(struct recorder *recorder) {
  struct timespec patience;
  if (!recorder->has_writer) return true;
  pthread_mutex_lock(&recorder->lock);
  recorder->is_ending = true;
  pthread_cond_signal(&recorder->wake);
  pthread_mutex_unlock(&recorder->lock);
  clock_gettime(CLOCK_REALTIME, &patience);
  patience.tv_sec += PATIENCE;
  return pthread_timedjoin_np(recorder->writer, NULL, &patience) == 0;
}

void recorder_destroy(struct recorder *recorder) {
  if (!end_writer(recorder)) { /* which still uses it */
    log_event(LOG_ERROR, "record_failed", "detail", "the disk takes too long for what was left");
    return;
  }
  reap(recorder);
  if (recorder->event >= 0) close(recorder->event);
  if (recorder->folder >= 0) close(recorder->folder);
  pthread_cond_destroy(&recorder->wake);
  pthread_mutex_destroy(&recorder->lock);
  free(recorder);
}

enum status recorder_create(const char *folder, struct recorder **created) {
  struct recorder *recorder = calloc(1, sizeof *recorder);
  if (!recorder) return STATUS_NO_MEMORY;
  recorder->event_handler.on_event = ready;
  pthread_mutex_init(&recorder->lock, NULL);
  pthread_cond_init(&recorder->wake, NULL);
  recorder->folder = -1;
  recorder->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (recorder->event >= 0 && (mkdir(folder, S_IRWXU) == 0 || errno == EEXIST))
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
