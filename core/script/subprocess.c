#include "script/subprocess.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/script_internal.h"
#include "script/task.h"

/* ---- the end ------------------------------------------------------------------------------- */

static struct processes *processes_of(const struct subprocess *child) {
  return child->script->world->processes;
}

static struct timer_heap *timers_of(const struct subprocess *child) {
  return &child->script->world->timers;
}

/* The world may be gone, and its processes with it: then nothing runs. */
static void leave(struct subprocess *child) {
  if (child->process.running && processes_of(child)) processes_of(child)->leave(&child->process);
  child->process.running = NULL;
}

static void unlink_and_free(struct subprocess *child) {
  leave(child);
  owned_take(&child->owned);
  subprocess_log_close(&child->log);
  timer_cancel(timers_of(child), &child->timer);
  if (child->previous)
    child->previous->next = child->next;
  else
    child->script->subprocesses.first = child->next;
  if (child->next) child->next->previous = child->previous;
  free(child->words);
  free(child);
}

static void free_if_unused(struct subprocess *child) {
  bool is_running = child->process.running && !child->has_ended;
  if (!child->has_value && child->stream_count == 0 && !is_running) unlink_and_free(child);
}

/* luaL_unref() only changes fields that exist, so it cannot raise. */
static void forget_reference(struct subprocess *child) {
  if (child->reference) luaL_unref(child->script->gate.main, LUA_REGISTRYINDEX, child->reference);
  child->reference = 0;
}

static void wake_all(struct subprocess *child) {
  task_wake_all(&child->waiters);
  if (child->starter) task_wake(child->starter, 0);
}

static void close_streams(struct subprocess *child, bool is_cut) {
  for (int i = 0; i < SUBPROCESS_STREAMS; i++) {
    struct stream *stream = child->streams[i];
    if (!stream) continue;
    if (is_cut) {
      stream_drop(stream);
      continue;
    }
    stream_close(stream);
    stream_linger(stream);
  }
}

void subprocess_close(struct subprocess *child, bool is_cut) {
  if (child->is_closed) return;
  child->is_closed = true;
  owned_take(&child->owned);
  timer_cancel(timers_of(child), &child->timer);
  leave(child);
  subprocess_log_close(&child->log);
  close_streams(child, is_cut);
  wake_all(child);
  forget_reference(child);
}

static void end_with_task(struct owned *owned, bool is_cancelled) {
  struct subprocess *child =
      (struct subprocess *)((char *)owned - offsetof(struct subprocess, owned));
  subprocess_close(child, is_cancelled);
  free_if_unused(child);
}

/* ---- its streams --------------------------------------------------------------------------- */

static struct subprocess *of_whole(struct stream_whole *whole) {
  return (struct subprocess *)((char *)whole - offsetof(struct subprocess, whole));
}

static void on_given(struct stream_whole *whole, struct stream *stream) {
  struct subprocess *child = of_whole(whole);
  owned_take(&child->owned);
  child->given = stream;
}

static void on_closed(struct stream_whole *whole, struct stream *stream) {
  struct subprocess *child = of_whole(whole);
  if (child->given == stream) subprocess_close(child, false);
}

static void on_freed(struct stream_whole *whole, const struct stream *stream) {
  struct subprocess *child = of_whole(whole);
  child->stream_count--;
  for (int i = 0; i < SUBPROCESS_STREAMS; i++)
    if (child->streams[i] == stream) child->streams[i] = NULL;
  free_if_unused(child);
}

void subprocess_add_stream(struct subprocess *child, enum subprocess_stream which,
                           struct stream *stream) {
  child->streams[which] = stream;
  child->stream_count++;
  stream->whole = &child->whole;
  stream->kind = STREAM_PIPE;
}

/* ---- what the world tells ------------------------------------------------------------------ */

static struct subprocess *of_process(struct process *process) {
  return (struct subprocess *)((char *)process - offsetof(struct subprocess, process));
}

/* A stream that goes one way has the end of the other. */
static void open_stream(struct subprocess *child, enum subprocess_stream which,
                        struct channel *channel) {
  struct stream *stream = child->streams[which];
  if (which == SUBPROCESS_STDIN)
    stream->end = READING_ENDED;
  else
    stream->cannot_send = true;
  stream_open(stream, channel);
}

static void on_start(struct process *process, const struct process_start *start) {
  struct subprocess *child = of_process(process);
  if (start->error == PROCESS_OK) {
    child->has_started = true;
    if (start->input) open_stream(child, SUBPROCESS_STDIN, start->input);
    open_stream(child, SUBPROCESS_STDOUT, start->output);
    if (child->streams[SUBPROCESS_STDERR])
      open_stream(child, SUBPROCESS_STDERR, start->errors);
    else if (start->errors)
      subprocess_log_open(&child->log, child->script, child->name, start->errors);
  } else {
    child->error = start->error;
    snprintf(child->why, sizeof child->why, "%s", start->why);
  }
  if (child->starter) task_wake(child->starter, 0);
}

static void on_end(struct process *process, struct process_end end) {
  struct subprocess *child = of_process(process);
  child->has_ended = true;
  child->end = end;
  wake_all(child);
  forget_reference(child);
}

/* Others of its group may go on when it has ended itself. */
static void on_timer(struct timer *timer) {
  struct subprocess *child =
      (struct subprocess *)((char *)timer - offsetof(struct subprocess, timer));
  if (child->process.running) processes_of(child)->stop(&child->process);
}

/* ---- life ---------------------------------------------------------------------------------- */

struct subprocess *subprocess_create(struct script *script) {
  struct subprocess *child = calloc(1, sizeof *child);
  if (!child) return NULL;
  child->process.on_start = on_start;
  child->process.on_end = on_end;
  child->owned.end = end_with_task;
  child->whole = (struct stream_whole){on_given, on_closed, on_freed};
  child->timer.expire = on_timer;
  child->script = script;
  child->has_value = true;
  waiter_init_list(&child->waiters);
  child->next = script->subprocesses.first;
  if (child->next) child->next->previous = child;
  script->subprocesses.first = child;
  return child;
}

enum status subprocess_start(struct subprocess *child, struct task *task) {
  struct processes *processes = processes_of(child);
  enum status status = processes->start(processes, &child->plan, &child->process);
  if (status != STATUS_OK) return status;
  child->starter = task;
  owned_give(&child->owned, &task->owned);
  for (int i = 0; i < SUBPROCESS_STREAMS; i++)
    if (child->streams[i]) owned_give(&child->streams[i]->owned, &task->owned);
  return STATUS_OK;
}

bool subprocess_signal(struct subprocess *child, int number) {
  return child->process.running && processes_of(child)->signal(&child->process, number);
}

void subprocess_forget_value(struct subprocess *child) {
  child->has_value = false;
  child->reference = 0; /* The state is being closed, or there was none. */
  free_if_unused(child);
}

void subprocess_free_all(struct script *script) {
  struct subprocess *next;
  for (struct subprocess *child = script->subprocesses.first; child; child = next) {
    next = child->next;
    unlink_and_free(child);
  }
}
