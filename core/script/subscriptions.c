#include "script/subscriptions.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "session/steps.h"

enum { BUCKETS_MIN = 64 };

/* Blocks of memory begin at multiples of 16. */
static size_t bucket_of(const struct subscriptions *all, const struct topic *topic,
                        const struct session *session) {
  uint64_t hash = ((uintptr_t)topic >> 4) * 31 + ((uintptr_t)session >> 4);
  hash *= 0x9E3779B97F4A7C15u;
  return (size_t)(hash >> 32) & (all->bucket_count - 1);
}

struct subscription *subscriptions_find(const struct subscriptions *all, const struct topic *topic,
                                        const struct session *session) {
  if (all->bucket_count == 0) return NULL;
  struct subscription *one = all->buckets[bucket_of(all, topic, session)];
  while (one && (one->topic != topic || one->session != session)) one = one->next_of_bucket;
  return one;
}

static void put_into_bucket(struct subscriptions *all, struct subscription *one) {
  struct subscription **bucket = &all->buckets[bucket_of(all, one->topic, one->session)];
  one->next_of_bucket = *bucket;
  *bucket = one;
}

/* Doubles the table when it is full. False: there is no memory. */
static bool make_room(struct subscriptions *all) {
  if (all->count < all->bucket_count) return true;
  struct subscriptions grown = {.count = all->count};
  grown.bucket_count = all->bucket_count > 0 ? 2 * all->bucket_count : BUCKETS_MIN;
  grown.buckets = calloc(grown.bucket_count, sizeof(struct subscription *));
  if (!grown.buckets) return false;
  for (size_t i = 0; i < all->bucket_count; i++) {
    struct subscription *next;
    for (struct subscription *one = all->buckets[i]; one; one = next) {
      next = one->next_of_bucket;
      put_into_bucket(&grown, one);
    }
  }
  free(all->buckets);
  *all = grown;
  return true;
}

struct subscription *subscriptions_add(struct subscriptions *all, struct topic *topic,
                                       struct subscribers *subscribers, struct session *session) {
  if (!make_room(all)) return NULL;
  struct subscription *one = malloc(sizeof *one);
  if (!one) return NULL;
  struct subscription *first = session_attachment(session);
  *one = (struct subscription){
      .topic = topic, .session = session, .previous = subscribers->last, .next_of_session = first};
  if (subscribers->last)
    subscribers->last->next = one;
  else
    subscribers->first = one;
  subscribers->last = one;
  if (first) first->previous_of_session = one;
  session_set_attachment(session, one);
  put_into_bucket(all, one);
  all->count++;
  return one;
}

static void leave_bucket(struct subscriptions *all, const struct subscription *one) {
  struct subscription **link = &all->buckets[bucket_of(all, one->topic, one->session)];
  while (*link != one) link = &(*link)->next_of_bucket;
  *link = one->next_of_bucket;
  all->count--;
}

static void leave_session(const struct subscription *one) {
  if (one->previous_of_session)
    one->previous_of_session->next_of_session = one->next_of_session;
  else
    session_set_attachment(one->session, one->next_of_session);
  if (one->next_of_session) one->next_of_session->previous_of_session = one->previous_of_session;
}

void subscriptions_remove(struct subscriptions *all, struct subscribers *subscribers,
                          struct subscription *one) {
  leave_bucket(all, one);
  leave_session(one);
  if (one->previous)
    one->previous->next = one->next;
  else
    subscribers->first = one->next;
  if (one->next)
    one->next->previous = one->previous;
  else
    subscribers->last = one->previous;
  free(one);
}

void subscriptions_deinit(struct subscriptions *all) {
  assert(all->count == 0);
  free(all->buckets);
  *all = (struct subscriptions){0};
}
