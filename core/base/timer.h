/* timer.h: deadlines in a binary heap.
 *
 * A timer is a member of the struct that it belongs to (intrusive), so that setting one fails only
 * when the heap cannot grow. Adding, moving and cancelling take O(log n), timer_next() O(1).
 * Times are those of base/clock.h, in milliseconds. Timers of the same time are due in the order
 * in which they were set. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

struct timer {
  int64_t when;
  uint64_t sequence;                   /* The order of timers of the same time. */
  size_t place;                        /* Index in the heap, from 1; 0: the timer is not set. */
  void (*expire)(struct timer *timer); /* The heap's owner calls it, never the heap. */
};

struct timer_heap {
  struct timer **timers;
  size_t count;
  size_t capacity;
  uint64_t sequence;
};

/* All zeros is an empty heap. */
void timer_heap_init(struct timer_heap *heap);

/* Makes room for `count` timers: timer_set() cannot fail while no more are set. */
enum status timer_heap_reserve(struct timer_heap *heap, size_t count);

/* Sets or moves a timer. A timer that was never set must be all zeros, but for `expire`.
 * STATUS_NO_MEMORY: the timer is unchanged. */
enum status timer_set(struct timer_heap *heap, struct timer *timer, int64_t when);

/* Cancels a timer. Does nothing to a timer that is not set. */
void timer_cancel(struct timer_heap *heap, struct timer *timer);

/* Returns when the next timer is due; CLOCK_NEVER: none is set. */
int64_t timer_next(const struct timer_heap *heap);

/* Removes and returns the earliest timer that is due (when <= now); NULL: none is due. */
struct timer *timer_take_due(struct timer_heap *heap, int64_t now);

/* Frees the heap, but not the timers. */
void timer_heap_deinit(struct timer_heap *heap);

#endif
