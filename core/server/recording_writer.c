#include "server/recording_writer.h"

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
  NAME_SIZE = RECORDING_NAME_SIZE,
  PATIENCE = 5, /* Seconds to wait for the writer when the server stops. */
  /* How many names are tried: a server that ran in the same second may have taken some. */
  TRIES = 2 * RECORDING_FILES
};

static int create_file(const struct recording_writer *recording_writer, const char *name) {
  return openat(recording_writer->folder, name,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
}

/* Closes and removes a file. Keeps errno. */
static void discard(const struct recording_writer *recording_writer, const char *name, int fd) {
  int saved = errno;
  if (fd >= 0) close(fd);
  unlinkat(recording_writer->folder, name, 0);
  errno = saved;
}

/* Writes a file: permissions do not tell that the disk is full or read-only. */
static enum status try_folder(const struct recording_writer *recording_writer) {
  char name[NAME_SIZE];
  snprintf(name, sizeof name, ".parlance-%ld.part", (long)getpid());
  int fd = create_file(recording_writer, name);
  if (fd < 0) return STATUS_ERROR;
  discard(recording_writer, name, fd);
  return STATUS_OK;
}

bool recording_writer_take_place(struct recording_writer *recording_writer) {
  if (recording_writer->places < RECORDING_FILES) {
    recording_writer->places++;
    return true;
  }
  if (!recording_writer->is_full)
    log_event(LOG_WARN, "record_full", "detail",
              "there are as many transcripts as one run of the server writes");
  recording_writer->is_full = true;
  return false;
}

void recording_writer_give_back(struct recording_writer *recording_writer) {
  recording_writer->places--;
}

/* Creates `.NAME.part` for the next free NAME. This file reserves the name, also against other
 * servers that write to this folder. Returns the descriptor, or -1. */
static int create_part(struct recording_writer *recording_writer, const char *base, char *name,
                       char *part) {
  for (int tries = 0; tries < TRIES; tries++) {
    snprintf(name, NAME_SIZE, "%s-%zu.transcript", base, ++recording_writer->number);
    snprintf(part, NAME_SIZE, ".%.*s.part", NAME_SIZE - 8, name);
    int fd = create_file(recording_writer, part);
    if (fd < 0) {
      if (errno != EEXIST) return -1;
      continue;
    }
    struct stat about;
    if (fstatat(recording_writer->folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno == ENOENT)
      return fd;
    discard(recording_writer, part, fd);
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

static void write_file(struct recording_writer *recording_writer, struct recording_job *job) {
  char base[96], part[NAME_SIZE], date[32];
  time_t seconds = (time_t)(job->began / 1000);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  strftime(date, sizeof date, "%Y%m%d-%H%M%S", &parts);
  snprintf(base, sizeof base, "%s-%s", job->service, date);
  int fd = create_part(recording_writer, base, job->name, part);
  if (fd < 0) {
    job->error = errno;
    return;
  }
  bool is_written = write_all(fd, buffer_bytes(job->text.text)) == STATUS_OK;
  if (is_written) { /* close() may report that writing has failed. */
    is_written = close(fd) == 0;
    fd = -1;
  }
  if (is_written &&
      renameat(recording_writer->folder, part, recording_writer->folder, job->name) == 0)
    return;
  job->error = errno;
  discard(recording_writer, part, fd);
}

/* ---- the writer, a thread of its own ------------------------------------------------------- */

static void do_job(struct recording_writer *recording_writer, struct recording_job *job) {
  job->render(job);
  if (job->text.is_incomplete)
    job->error = ENOMEM;
  else
    write_file(recording_writer, job);
}

static struct recording_job *next_job(struct recording_writer *recording_writer) {
  pthread_mutex_lock(&recording_writer->lock);
  while (!recording_writer->first && !recording_writer->is_ending)
    pthread_cond_wait(&recording_writer->wake, &recording_writer->lock);
  struct recording_job *job = recording_writer->first;
  if (job) recording_writer->first = job->next;
  if (!recording_writer->first) recording_writer->last = NULL;
  pthread_mutex_unlock(&recording_writer->lock);
  return job;
}

static void *write_jobs(void *context) {
  struct recording_writer *recording_writer = context;
  const uint64_t one = 1;
  for (struct recording_job *job; (job = next_job(recording_writer)) != NULL;) {
    do_job(recording_writer, job);
    pthread_mutex_lock(&recording_writer->lock);
    job->next = recording_writer->done;
    recording_writer->done = job;
    pthread_mutex_unlock(&recording_writer->lock);
    ssize_t written =
        write(recording_writer->event, &one,
              sizeof one); /* Fails only if the counter is full; then the loop is awake. */
    (void)written;
  }
  return NULL;
}

/* Starts the thread with all signals blocked: the loop's thread gets them. */
static bool start_writer(struct recording_writer *recording_writer) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  recording_writer->has_writer =
      pthread_create(&recording_writer->writer, NULL, write_jobs, recording_writer) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return recording_writer->has_writer;
}

/* ---- the loop's side ----------------------------------------------------------------------- */

static void finish_job(struct recording_writer *recording_writer, struct recording_job *job) {
  struct log_line line;
  recording_writer->memory -= job->memory;
  if (job->error == 0)
    log_event(LOG_DEBUG, "recorded", "file", job->name);
  else {
    recording_writer_give_back(recording_writer);
    if (log_begin_limited(&line, LOG_ERROR, "record_failed", &recording_writer->limit,
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

static void reap(struct recording_writer *recording_writer) {
  pthread_mutex_lock(&recording_writer->lock);
  struct recording_job *done = recording_writer->done;
  recording_writer->done = NULL;
  pthread_mutex_unlock(&recording_writer->lock);
  while (done) {
    struct recording_job *job = done;
    done = job->next;
    finish_job(recording_writer, job);
  }
}

static void on_jobs_done(struct event_handler *event_handler, unsigned events) {
  struct recording_writer *recording_writer = (struct recording_writer *)event_handler;
  uint64_t count;
  (void)events;
  while (read(recording_writer->event, &count, sizeof count) > 0) continue;
  reap(recording_writer);
}

void recording_writer_submit(struct recording_writer *recording_writer, struct recording_job *job) {
  job->next = NULL;
  if (!recording_writer->has_writer &&
      !start_writer(recording_writer)) { /* Without a thread, this thread writes the file. */
    do_job(recording_writer, job);
    finish_job(recording_writer, job);
    return;
  }
  pthread_mutex_lock(&recording_writer->lock);
  if (recording_writer->last)
    recording_writer->last->next = job;
  else
    recording_writer->first = job;
  recording_writer->last = job;
  pthread_cond_signal(&recording_writer->wake);
  pthread_mutex_unlock(&recording_writer->lock);
}

/* Ends the writer's thread. False: it did not end in time, because the disk hangs or is slow. */
static bool end_writer(struct recording_writer *recording_writer) {
  struct timespec patience;
  if (!recording_writer->has_writer) return true;
  pthread_mutex_lock(&recording_writer->lock);
  recording_writer->is_ending = true;
  pthread_cond_signal(&recording_writer->wake);
  pthread_mutex_unlock(&recording_writer->lock);
  clock_gettime(CLOCK_REALTIME, &patience);
  patience.tv_sec += PATIENCE;
  return pthread_timedjoin_np(recording_writer->writer, NULL, &patience) == 0;
}

void recording_writer_destroy(struct recording_writer *recording_writer) {
  if (!end_writer(recording_writer)) { /* The thread still uses the memory. */
    log_event(LOG_ERROR, "record_failed", "detail",
              "the disk is too slow: the last transcripts were not written");
    return;
  }
  reap(recording_writer);
  if (recording_writer->event >= 0) close(recording_writer->event);
  if (recording_writer->folder >= 0) close(recording_writer->folder);
  pthread_cond_destroy(&recording_writer->wake);
  pthread_mutex_destroy(&recording_writer->lock);
  free(recording_writer);
}

enum status recording_writer_create(const char *folder, struct recording_writer **created) {
  struct recording_writer *recording_writer = calloc(1, sizeof *recording_writer);
  if (!recording_writer) return STATUS_NO_MEMORY;
  recording_writer->event_handler.on_event = on_jobs_done;
  pthread_mutex_init(&recording_writer->lock, NULL);
  pthread_cond_init(&recording_writer->wake, NULL);
  recording_writer->folder = -1;
  recording_writer->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (recording_writer->event >= 0 && (mkdir(folder, S_IRWXU) == 0 || errno == EEXIST))
    recording_writer->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (recording_writer->folder < 0 || try_folder(recording_writer) != STATUS_OK) {
    int saved = errno;
    recording_writer_destroy(recording_writer);
    errno = saved;
    return STATUS_ERROR;
  }
  *created = recording_writer;
  return STATUS_OK;
}
