/* waiter.h: lists of the tasks that wait for something, first come, first served.
 *
 * A place in a list is a member of the struct that it belongs to (intrusive), so that no function
 * fails. A list is a ring that begins and ends with its head. */
#ifndef SCRIPT_WAITER_H
#define SCRIPT_WAITER_H

#include <stdbool.h>
#include <stddef.h>

struct task;

struct waiter {
  struct waiter *next; /* NULL: it is in no list. */
  struct waiter *previous;
  struct task *task; /* Who waits; NULL in the head of a list. */
};

static inline void waiter_init_list(struct waiter *head) {
  *head = (struct waiter){.next = head, .previous = head};
}

/* The first one; NULL: nobody waits. */
static inline struct waiter *waiter_first(const struct waiter *head) {
  return head->next == head ? NULL : head->next;
}

/* Adds a place, which is in no list, at the end. */
static inline void waiter_add(struct waiter *head, struct waiter *place, struct task *task) {
  *place = (struct waiter){.next = head, .previous = head->previous, .task = task};
  head->previous->next = place;
  head->previous = place;
}

/* Removes a place. Does nothing if it is in no list. */
static inline void waiter_remove(struct waiter *place) {
  if (!place->next) return;
  place->previous->next = place->next;
  place->next->previous = place->previous;
  place->next = place->previous = NULL;
}

#endif
