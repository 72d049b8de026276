#include "base/timer.h"

#include <stdbool.h>
#include <stdlib.h>

void timer_heap_init(struct timer_heap *heap) { *heap = (struct timer_heap){0}; }

/* Places count from 1, so that the parent of place n is n / 2. */
static struct timer *timer_at(const struct timer_heap *heap, size_t place) {
  return heap->timers[place - 1];
}

static bool is_before(const struct timer *a, const struct timer *b) {
  return a->when != b->when ? a->when < b->when : a->sequence < b->sequence;
}

static void put_at(struct timer_heap *heap, size_t place, struct timer *timer) {
  heap->timers[place - 1] = timer;
  timer->place = place;
}

static void sift_up(struct timer_heap *heap, struct timer *timer, size_t place) {
  for (; place > 1; place /= 2) {
    struct timer *parent = timer_at(heap, place / 2);
    if (is_before(parent, timer)) break;
    put_at(heap, place, parent);
  }
  put_at(heap, place, timer);
}

static void sift_down(struct timer_heap *heap, struct timer *timer, size_t place) {
  for (size_t child = place * 2; child <= heap->count; child = place * 2) {
    if (child < heap->count && is_before(timer_at(heap, child + 1), timer_at(heap, child))) child++;
    if (is_before(timer, timer_at(heap, child))) break;
    put_at(heap, place, timer_at(heap, child));
    place = child;
  }
  put_at(heap, place, timer);
}

/* Moves a timer up or down from `place` until the heap is in order. */
static void settle(struct timer_heap *heap, struct timer *timer, size_t place) {
  if (place > 1 && is_before(timer, timer_at(heap, place / 2)))
    sift_up(heap, timer, place);
  else
    sift_down(heap, timer, place);
}

enum status timer_heap_reserve(struct timer_heap *heap, size_t count) {
  if (count <= heap->capacity) return STATUS_OK;
  size_t capacity = heap->capacity ? heap->capacity : 64;
  while (capacity < count) capacity *= 2;
  struct timer **timers = realloc(heap->timers, capacity * sizeof *timers);
  if (!timers) return STATUS_NO_MEMORY;
  heap->timers = timers;
  heap->capacity = capacity;
  return STATUS_OK;
}

enum status timer_set(struct timer_heap *heap, struct timer *timer, int64_t when) {
  if (!timer->place) {
    enum status status = timer_heap_reserve(heap, heap->count + 1);
    if (status != STATUS_OK) return status;
    timer->place = ++heap->count;
  }
  timer->when = when;
  timer->sequence = heap->sequence++;
  settle(heap, timer, timer->place);
  return STATUS_OK;
}

void timer_cancel(struct timer_heap *heap, struct timer *timer) {
  if (!timer->place) return;
  size_t hole = timer->place;
  timer->place = 0;
  struct timer *last = timer_at(heap, heap->count--);
  if (last != timer) settle(heap, last, hole);
}

int64_t timer_next(const struct timer_heap *heap) {
  return heap->count ? timer_at(heap, 1)->when : CLOCK_NEVER;
}

struct timer *timer_take_due(struct timer_heap *heap, int64_t now) {
  if (!heap->count || timer_next(heap) > now) return NULL;
  struct timer *timer = timer_at(heap, 1);
  timer_cancel(heap, timer);
  return timer;
}

void timer_heap_deinit(struct timer_heap *heap) {
  free(heap->timers);
  timer_heap_init(heap);
}
