/* subscriptions.h: which sessions have subscribed to which topics. Knows nothing of Lua.
 *
 * A subscription is in the list of its topic, in the order of subscribing, and in the list of its
 * session, whose first one session_attachment() has. So the end of a session costs as much as it
 * has subscriptions. A hash table finds a subscription by both. */
#ifndef SCRIPT_SUBSCRIPTIONS_H
#define SCRIPT_SUBSCRIPTIONS_H

#include <stddef.h>

struct session;
struct topic;

struct subscription {
  struct topic *topic;
  struct session *session;
  struct subscription *next; /* Of the topic. */
  struct subscription *previous;
  struct subscription *next_of_session;
  struct subscription *previous_of_session;
  struct subscription *next_of_bucket;
};

/* The subscriptions of a topic. All zeros at first. */
struct subscribers {
  struct subscription *first;
  struct subscription *last;
};

/* All subscriptions of a script. All zeros at first. */
struct subscriptions {
  struct subscription **buckets;
  size_t bucket_count; /* A power of two, or 0. */
  size_t count;
};

/* NULL: the session has not subscribed to the topic. */
struct subscription *subscriptions_find(const struct subscriptions *all, const struct topic *topic,
                                        const struct session *session);

/* Adds a subscription, which must not be there, at the end of the topic's. NULL: there is no
 * memory.
 */
struct subscription *subscriptions_add(struct subscriptions *all, struct topic *topic,
                                       struct subscribers *subscribers, struct session *session);

/* Removes a subscription, and frees it. */
void subscriptions_remove(struct subscriptions *all, struct subscribers *subscribers,
                          struct subscription *one);

/* Frees the table. There must be no subscriptions. */
void subscriptions_deinit(struct subscriptions *all);

#endif
