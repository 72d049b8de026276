/* timer.h: deadlines, any number of them, kept in a binary heap.
 *
 * A timer is part of what it times (intrusive), so that setting one fails only when the heap itself
 * cannot grow. Adding, moving and cancelling take O(log n); looking at the next one O(1).
 * Times are those of base/clock.h, in milliseconds. Timers of one time are due in the order in
 * which they were set. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

struct timer {
  int64_t when;
  uint64_t sequence;                   /* of timer_set(), for those of one time */
  size_t place;                        /* in the heap, counted from 1; 0 when not set */
  void (*expire)(struct timer *timer); /* for the heap's owner to call; the heap does not */
};

struct timer_heap {
  struct timer **timers;
  size_t count;
  size_t capacity;
  uint64_t sequence;
};

/* All zeros is an empty heap. */
void timer_heap_init(struct timer_heap *heap);

/* Room for so many timers in all: as long as there are no more, timer_set() does not fail. */
enum status timer_heap_reserve(struct timer_heap *heap, size_t count);

/* Sets or moves a timer; one that was never set must be all zeros, but for `expire`.
 * STATUS_NO_MEMORY: it is as it was before. */
enum status timer_set(struct timer_heap *heap, struct timer *timer, int64_t when);

/* Cancels a timer; one that is not set is left alone. */
void timer_cancel(struct timer_heap *heap, struct timer *timer);

/* When the next timer is due; CLOCK_NEVER if none is set. */
int64_t timer_next(const struct timer_heap *heap);

/* Takes out one timer that is due at `now` (when <= now), earliest first, and returns it; NULL if
 * none is. */
struct timer *timer_take_due(struct timer_heap *heap, int64_t now);

/* Frees the heap; the timers themselves belong to others. */
void timer_heap_deinit(struct timer_heap *heap);

#endif
