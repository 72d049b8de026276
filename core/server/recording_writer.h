/* recording_writer.h: the folder that recorded conversations are written to. Private to the server
 * room.
 *
 * It gives each conversation its place, so that neither the files nor the memory of those that go
 * on grow without end, and writes the files. What was said is left to recording.h. */
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
#include "io/event_handler.h"
#include "server/transcript.h"

enum {
  /* Files that one run of the server writes. */
  RECORDING_FILES = 1000,
  /* What is kept of one conversation, in bytes: what was said, and some for each step. */
  RECORDING_CONVERSATION = 1024 * 1024,
  RECORDING_NAME_SIZE = 160,
  /* And of all that go on or wait to be written. */
  RECORDING_MEMORY = 64 * 1024 * 1024
};

/* A conversation that has ended, on its way to the disk. The writer's from
 * recording_writer_submit() until it is done; then the loop's again, which logs what came of it and
 * calls discard(). */
struct recording_job {
  struct recording_job *next;
  void (*render)(struct recording_job *job); /* on the writer's thread: adds to `text` */
  void (*discard)(struct recording_job *job);
  struct transcript text;
  size_t memory; /* that it is counted with */
  int64_t began; /* ms since 1970 */
  char service[64];
  char peer[ADDRESS_TEXT_MAX];
  unsigned port;
  int error; /* 0: it was written */
  char name[RECORDING_NAME_SIZE];
};

struct recording_writer {
  struct event_handler event_handler; /* for the loop: jobs are done */
  int event;                          /* its descriptor */
  bool has_writer;
  pthread_t writer;
  pthread_mutex_t lock; /* of what follows, to `is_ending` */
  pthread_cond_t wake;
  struct recording_job *first, *last; /* to be written */
  struct recording_job *done;
  bool is_ending;
  int folder;
  size_t places; /* given away: to files, and to conversations that go on */
  size_t number; /* of the last file; the writer's */
  size_t memory; /* of the conversations that go on, and of those that are not written yet */
  bool is_full;
  struct log_limit limit; /* so that peers cannot flood the log with what is not recorded */
};

/* Makes the folder if it is missing, and sees that something can be written there. STATUS_ERROR:
 * errno says why not. */
enum status recording_writer_create(const char *folder, struct recording_writer **created);

/* False: no place is left, which is logged once. */
bool recording_writer_take_place(struct recording_writer *recording_writer);

/* The conversation that had it gets no file. */
void recording_writer_give_back(struct recording_writer *recording_writer);

/* Has a conversation written, all of it or nothing, by a thread that the loop does not wait for: a
 * slow disk keeps nobody waiting. */
void recording_writer_submit(struct recording_writer *recording_writer, struct recording_job *job);

/* Waits for what is still to be written, but not for ever. */
void recording_writer_destroy(struct recording_writer *recording_writer);

#endif
