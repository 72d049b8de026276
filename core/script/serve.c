#include "script/serve.h"

#include "script/client.h"
#include "script/generation.h"
#include "script/script_internal.h"
#include "script/sent.h"
#include "script/serve_loop.h"
#include "script/stream_tap.h"
#include "script/task.h"
#include "script/topic.h"
#include "script/tunnel.h"
#include "session/session.h"
#include "session/tunnel.h"

/* The most tasks of a generation that rest. */
enum { RESTING_MAX = 64 };

/* NULL: none rests. */
static struct task *take_resting(struct generation *generation) {
  struct task *task = generation->resting;
  if (!task) return NULL;
  generation->resting = task->next;
  generation->resting_count--;
  task->next = NULL;
  return task;
}

void serve_end(struct generation *generation) {
  struct task *task;
  while ((task = take_resting(generation))) task_give(task, GATE_OK);
}

/* NULL: there is no memory. */
static struct task *take_task(struct generation *generation) {
  struct task *task = take_resting(generation);
  if (task) return task;
  task = task_take(&generation->script->gate);
  if (task) task->generation = generation;
  return task;
}

/* Goes on with the task that waits for this session, or with another one that rests. */
static enum gate_result run_task(struct generation *generation, struct session *session) {
  struct task *task = session_task(session);
  enum gate_result result;
  if (task) {
    result = task_continue(session_take_task(session));
  } else {
    task = take_task(generation);
    if (!task) return GATE_NO_MEMORY;
    task->session = session;
    result = task->state == TASK_RESTING ? task_continue(task) : task_start(task, serve_loop);
  }
  if (result == GATE_WAITING) {
    session_suspend(session, task);
  } else if (result == GATE_OK && generation->resting_count < RESTING_MAX) {
    task->session = NULL;
    task->cancel = CANCEL_NONE;
    task->unwinds_to = NULL;
    task->next = generation->resting;
    generation->resting = task;
    generation->resting_count++;
  } else
    task_give(task, result);
  return result;
}

static void run(struct handler *handler, struct session *session) {
  struct generation *generation = (struct generation *)handler;
  bool is_last = session_is_at_close(session);
  struct script *script = generation->script;
  struct generation *outer = script->running;
  script->running = generation;
  script->collector.is_dirty = true;
  enum gate_result result = run_task(generation, session);
  script->running = outer;
  if (result != GATE_OK && result != GATE_WAITING)
    session_fail(session, task_reason_of(result), script->gate.error);
  if (is_last) session_closed(session);
}

static void cancel(struct handler *handler, struct session *session) {
  (void)handler;
  task_cancel(session_task(session));
}

/* Its task looks whether that is what it waits for. */
static void on_progress(struct handler *handler, struct session *session) {
  (void)handler;
  struct task *task = session_task(session);
  if (task && session_has_tunnel(session))
    tunnel_on_progress(task);
  else if (task)
    task_wake(task, 0);
}

static void forget_client(struct handler *handler, struct session *session) {
  struct script *script = ((struct generation *)handler)->script;
  topic_forget(script, session);
  stream_tap_forget(script, session);
  client_forget(script->gate.main, session);
}

static void migrate(struct handler *handler, struct session *session, struct handler *successor) {
  const struct generation *from = (struct generation *)handler;
  const struct generation *to = (struct generation *)successor;
  client_adopt(from->script->gate.main, session, from->metatable, to->metatable);
}

const struct handler serve_handler = {.run = run,
                                      .cancel = cancel,
                                      .on_progress = on_progress,
                                      .release = sent_release,
                                      .on_sent = sent_forget_request,
                                      .migrate = migrate,
                                      .forget_client = forget_client};
