/* ready.h: the run queue: who has more to do and waits for nothing but the others' turn. Private to
 * the server room.
 *
 * An entry is part of what it stands for (intrusive), so that nothing here can fail. First in,
 * first out. */
#ifndef SERVER_READY_H
#define SERVER_READY_H

#include <stdbool.h>
#include <stddef.h>

struct ready {
  struct ready *next; /* NULL: it is not in the queue */
  struct ready *previous;
  void (*run)(struct ready *entry); /* for the loop to call, when it has taken the entry out */
};

/* A ring that begins and ends with `head`, which is no entry. */
struct ready_queue {
  struct ready head;
  size_t count;
};

void ready_init(struct ready_queue *queue);

/* Puts it at the end; one that is in the queue keeps its place. */
void ready_add(struct ready_queue *queue, struct ready *entry);

/* One that is not in the queue is left alone. */
void ready_remove(struct ready_queue *queue, struct ready *entry);

/* Takes out the first one; NULL: there is none. */
struct ready *ready_take(struct ready_queue *queue);

static inline bool ready_is_queued(const struct ready *entry) { return entry->next != NULL; }

#endif
