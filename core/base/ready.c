#include "base/ready.h"

void ready_init(struct ready_queue *queue) {
  queue->head.next = queue->head.previous = &queue->head;
  queue->count = 0;
}

void ready_add(struct ready_queue *queue, struct ready *entry) {
  if (ready_is_queued(entry)) return;
  entry->next = &queue->head;
  entry->previous = queue->head.previous;
  entry->previous->next = entry;
  queue->head.previous = entry;
  queue->count++;
}

void ready_remove(struct ready_queue *queue, struct ready *entry) {
  if (!ready_is_queued(entry)) return;
  entry->previous->next = entry->next;
  entry->next->previous = entry->previous;
  entry->next = NULL;
  queue->count--;
}

struct ready *ready_take(struct ready_queue *queue) {
  struct ready *first = queue->head.next;
  if (first == &queue->head) return NULL;
  ready_remove(queue, first);
  return first;
}
