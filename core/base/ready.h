/* ready.h: the run queue of a loop: what can go on at once, first in, first out.
 *
 * An entry is a member of the struct that it belongs to (intrusive), so that no function fails. */
#ifndef BASE_READY_H
#define BASE_READY_H

#include <stdbool.h>
#include <stddef.h>

struct ready {
  struct ready *next; /* NULL: the entry is not in the queue. */
  struct ready *previous;
  void (*run)(struct ready *entry); /* The loop calls it after it has removed the entry. */
};

/* A ring that begins and ends with `head`, which is no entry. */
struct ready_queue {
  struct ready head;
  size_t count;
};

void ready_init(struct ready_queue *queue);

/* Adds an entry at the end. An entry that is in the queue keeps its place. */
void ready_add(struct ready_queue *queue, struct ready *entry);

/* Removes an entry. Does nothing if it is not in the queue. */
void ready_remove(struct ready_queue *queue, struct ready *entry);

/* Removes and returns the first entry; NULL: the queue is empty. */
struct ready *ready_take(struct ready_queue *queue);

static inline bool ready_is_queued(const struct ready *entry) { return entry->next != NULL; }

#endif
