#include "script/datagrams.h"

#include <stdlib.h>

#include "script/script_internal.h"
#include "script/task.h"

static const unsigned events_of[DATAGRAMS_DIRECTIONS] = {CHANNEL_READ, CHANNEL_WRITE};

static void watch(struct datagrams *datagrams) {
  unsigned interest = CHANNEL_NONE;
  for (int i = 0; i < DATAGRAMS_DIRECTIONS; i++)
    if (datagrams->waits[i].task && !datagrams->waits[i].is_ready) interest |= events_of[i];
  if (datagrams->channel) datagrams->channel->class->watch(datagrams->channel, interest);
}

static void on_ready(struct channel_user *user, unsigned events) {
  struct datagrams *datagrams =
      (struct datagrams *)((char *)user - offsetof(struct datagrams, user));
  for (int i = 0; i < DATAGRAMS_DIRECTIONS; i++) {
    struct datagrams_wait *wait = &datagrams->waits[i];
    if (!wait->task || !(events & events_of[i])) continue;
    wait->is_ready = true;
    task_wake(wait->task, 0);
  }
  watch(datagrams);
}

void datagrams_await(struct datagrams *datagrams, enum datagrams_direction direction,
                     struct task *task) {
  datagrams->waits[direction].task = task;
  datagrams->waits[direction].is_ready = false;
  watch(datagrams);
}

void datagrams_end_wait(struct datagrams *datagrams, enum datagrams_direction direction) {
  datagrams->waits[direction].task = NULL;
  watch(datagrams);
}

/* ---- life ---------------------------------------------------------------------------------- */

void datagrams_close(struct datagrams *datagrams) {
  struct channel *channel = datagrams->channel;
  datagrams->channel = NULL;
  owned_take(&datagrams->owned);
  if (channel) channel->class->close(channel, false);
  for (int i = 0; i < DATAGRAMS_DIRECTIONS; i++)
    if (datagrams->waits[i].task) task_wake(datagrams->waits[i].task, 0);
}

static void end_with_task(struct owned *owned, bool is_cancelled) {
  (void)is_cancelled;
  datagrams_close((struct datagrams *)((char *)owned - offsetof(struct datagrams, owned)));
}

struct datagrams *datagrams_create(struct script *script) {
  struct datagrams *datagrams = calloc(1, sizeof *datagrams);
  if (!datagrams) return NULL;
  datagrams->user.on_ready = on_ready;
  datagrams->owned.end = end_with_task;
  datagrams->script = script;
  datagrams->next = script->datagrams;
  if (datagrams->next) datagrams->next->previous = datagrams;
  script->datagrams = datagrams;
  return datagrams;
}

void datagrams_open(struct datagrams *datagrams, const struct datagrams_class *class,
                    struct channel *channel) {
  datagrams->class = class;
  datagrams->channel = channel;
  channel->user = &datagrams->user;
}

void datagrams_free(struct datagrams *datagrams) {
  datagrams_close(datagrams);
  if (datagrams->previous)
    datagrams->previous->next = datagrams->next;
  else
    datagrams->script->datagrams = datagrams->next;
  if (datagrams->next) datagrams->next->previous = datagrams->previous;
  free(datagrams);
}

void datagrams_free_all(struct script *script) {
  struct datagrams *next;
  for (struct datagrams *datagrams = script->datagrams; datagrams; datagrams = next) {
    next = datagrams->next;
    datagrams_free(datagrams);
  }
}
