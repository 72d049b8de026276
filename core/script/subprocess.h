/* subprocess.h: a program that a script runs: its process, its pipes, and who waits for it.
 *
 * A child is a value in Lua (modules/subprocess_value.h) and what stands here. It belongs to the
 * task that made it. With that, or when the script closes it, its process group is ended and its
 * streams are closed. If a response has one of its streams, it ends with that stream instead.
 *
 * Nothing here runs code of the script or raises. */
#ifndef SCRIPT_SUBPROCESS_H
#define SCRIPT_SUBPROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/processes.h"
#include "base/timer.h"
#include "script/owned.h"
#include "script/stream.h"
#include "script/subprocess_log.h"
#include "script/waiter.h"

struct script;
struct task;

enum subprocess_stream {
  SUBPROCESS_STDIN,
  SUBPROCESS_STDOUT,
  SUBPROCESS_STDERR,
  SUBPROCESS_STREAMS
};

struct subprocess {
  struct process process;
  struct owned owned;
  struct stream_whole whole;
  struct timer timer; /* When its time is over. */
  struct subprocess_log log;
  struct script *script;
  struct subprocess *next; /* In the list of the script. */
  struct subprocess *previous;
  struct process_plan plan;
  char **words;                               /* The texts of the plan, and the pointers to them. */
  struct task *starter;                       /* Waits until it has started; NULL: none does. */
  struct waiter waiters;                      /* The tasks that wait for its end. */
  struct stream *streams[SUBPROCESS_STREAMS]; /* NULL: there is no such stream. */
  struct stream *given;                       /* The stream that a response has; NULL: none. */
  size_t stream_count;                        /* How many of them are not freed yet. */
  int reference; /* Keeps the value in Lua while the program runs; 0: not kept. */
  struct process_end end;
  enum process_error error; /* Why it has not started. */
  bool has_value;           /* There is a value in Lua. */
  bool has_started;
  bool has_ended;
  bool is_closed;
  char why[256]; /* With `error`. */
  char name[64]; /* The program, for the log. */
};

/* Makes a child without a plan. NULL: there is no memory. */
struct subprocess *subprocess_create(struct script *script);

/* It has this stream, which is not connected. At most one of each. */
void subprocess_add_stream(struct subprocess *child, enum subprocess_stream which,
                           struct stream *stream);

/* Begins to start it as child->plan says. Then `task` owns it and its streams, and is woken when it
 * has started or has failed to. STATUS_NO_MEMORY: nothing has begun. */
enum status subprocess_start(struct subprocess *child, struct task *task);

/* Sends a signal to its process group. False: the group has ended. */
bool subprocess_signal(struct subprocess *child, int number);

/* Ends its process group and closes its streams. `is_cut`: what was written to them is dropped. */
void subprocess_close(struct subprocess *child, bool is_cut);

/* The value in Lua is gone. May free the child. */
void subprocess_forget_value(struct subprocess *child);

/* Frees all children of a script whose Lua state was closed, and whose streams were freed. */
void subprocess_free_all(struct script *script);

#endif
