/* recorder.h: the folder that recorded conversations are written to. Private to the server room.
 *
 * It gives each conversation its place, so that neither the files nor the memory of those that go
 * on grow without end, and writes the files. What was said is left to recording.h. */
#ifndef SERVER_RECORDER_H
#define SERVER_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/span.h"
#include "base/status.h"

enum {
  /* Files that one run of the server writes. */
  RECORDER_FILES = 1000,
  /* What is kept of one conversation, in bytes: what was said, and some for each step. */
  RECORDER_CONVERSATION = 1024 * 1024,
  /* And of all that go on. */
  RECORDER_MEMORY = 64 * 1024 * 1024
};

struct recorder {
  int folder;
  size_t places; /* given away: to files, and to conversations that go on */
  size_t number; /* of the last file */
  size_t memory; /* of the conversations that go on */
  bool is_full;
  struct log_limit limit; /* so that peers cannot flood the log with what is not recorded */
};

/* Makes the folder if it is missing, and sees that something can be written there. STATUS_ERROR:
 * errno says why not. */
enum status recorder_create(const char *folder, struct recorder **created);

/* False: no place is left, which is logged once. */
bool recorder_take_place(struct recorder *recorder);

/* The conversation that had it gets no file. */
void recorder_give_back(struct recorder *recorder);

/* Writes the file of a conversation that began at that time (ms since 1970): all of it, or nothing.
 * STATUS_ERROR: errno says why. */
enum status recorder_write(struct recorder *recorder, const char *service, int64_t began,
                           struct span text);

void recorder_destroy(struct recorder *recorder);

#endif
