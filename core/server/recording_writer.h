/* recording_writer.h: the folder of the recordings. Private to the server room.
 *
 * It limits the number of the files and the memory of all recordings, and writes the files. The
 * text of a file is made by recording.h. */
#ifndef SERVER_RECORDING_WRITER_H
#define SERVER_RECORDING_WRITER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/span.h"
#include "base/status.h"
#include "io/address.h"
#include "io/poller.h"
#include "server/transcript.h"

enum {
  /* The most files that one run of the server writes. */
  RECORDING_FILES = 1000,
  /* The most bytes in memory for one recording: the bytes of both sides and a header for each step.
   */
  RECORDING_SIZE = 1024 * 1024,
  /* The size of a file's name, in bytes. */
  RECORDING_NAME_SIZE = 160,
  /* The most bytes in memory for all recordings that are not written yet. */
  RECORDING_MEMORY = 64 * 1024 * 1024
};

/* The recording of a session that has ended. After recording_writer_submit() it belongs to the
 * writer's thread until the file is written. Then it belongs to the loop's thread again, which logs
 * the result and calls discard(). */
struct recording_job {
  struct recording_job *next;
  void (*render)(struct recording_job *job); /* Adds to `text`; runs on the writer's thread. */
  void (*discard)(struct recording_job *job);
  struct transcript text;
  size_t memory; /* Its share of recording_writer.memory, in bytes. */
  int64_t began; /* In ms since 1970. */
  char service[64];
  char peer[ADDRESS_TEXT_MAX];
  unsigned port;
  int error; /* The errno of writing; 0: the file was written. */
  char name[RECORDING_NAME_SIZE];
};

struct recording_writer {
  struct event_handler event_handler; /* Runs on the loop's thread when jobs are done. */
  int event;                          /* The descriptor for this event. */
  bool has_writer;
  pthread_t writer;
  pthread_mutex_t lock; /* Protects the members from `wake` to `is_ending`. */
  pthread_cond_t wake;
  struct recording_job *first, *last; /* The queue of jobs to be written. */
  struct recording_job *done;         /* The jobs whose result was not logged yet. */
  bool is_ending;
  int folder;
  size_t places; /* How many files were written or are reserved for a recording. */
  size_t number; /* The number in the last file's name. Only the writer uses it. */
  size_t memory; /* Bytes in memory for all recordings that are not written yet. */
  bool is_full;
  struct log_limit limit; /* Limits the lines about recordings that were dropped. */
};

/* Makes the folder if it does not exist, and tries to write a file there. STATUS_ERROR: errno says
 * why that failed. */
enum status recording_writer_create(const char *folder, struct recording_writer **created);

/* Reserves a file for a recording. False: no file is left, which is logged once. */
bool recording_writer_take_place(struct recording_writer *recording_writer);

/* Gives back the file of a recording that is not written. */
void recording_writer_give_back(struct recording_writer *recording_writer);

/* Has the file of a recording written, whole or not at all. A thread of its own writes it, so that
 * the loop does not wait for a slow disk. */
void recording_writer_submit(struct recording_writer *recording_writer, struct recording_job *job);

/* Waits until the files are written, but only for a few seconds. */
void recording_writer_destroy(struct recording_writer *recording_writer);

#endif
