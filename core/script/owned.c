#include "script/owned.h"

#include <stddef.h>

#include "script/task.h"

void owned_give(struct owned *owned, struct task *task) {
  owned->task = task;
  owned->previous = NULL;
  owned->next = task->owned;
  if (owned->next) owned->next->previous = owned;
  task->owned = owned;
}

void owned_take(struct owned *owned) {
  if (!owned->task) return;
  if (owned->previous)
    owned->previous->next = owned->next;
  else
    owned->task->owned = owned->next;
  if (owned->next) owned->next->previous = owned->previous;
  owned->task = NULL;
}

void owned_end_all(struct task *task, bool is_cancelled) {
  while (task->owned) {
    struct owned *owned = task->owned;
    owned_take(owned);
    owned->end(owned, is_cancelled);
  }
}
