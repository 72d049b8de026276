#include "server/recorded_senders.h"

#include <stdlib.h>
#include <string.h>

#include "server/recording.h"

enum { SILENCE = 10000 /* ms: then a conversation is over. */ };

struct recorded_sender {
  struct recorded_sender *next;
  struct service *service;
  struct recording *recording;
  size_t in_hand; /* Datagrams that are not answered yet. */
  struct timer silence;
  union peer_address peer;
};

/* Bytes behind an address may be any. */
static bool is_same(const union peer_address *one, const union peer_address *other) {
  if (one->any.sa_family != other->any.sa_family) return false;
  if (one->any.sa_family == AF_INET)
    return one->ipv4.sin_port == other->ipv4.sin_port &&
           one->ipv4.sin_addr.s_addr == other->ipv4.sin_addr.s_addr;
  return one->ipv6.sin6_port == other->ipv6.sin6_port &&
         one->ipv6.sin6_scope_id == other->ipv6.sin6_scope_id &&
         memcmp(&one->ipv6.sin6_addr, &other->ipv6.sin6_addr, sizeof one->ipv6.sin6_addr) == 0;
}

static struct recorded_sender *find(const struct service *service, const union peer_address *peer) {
  struct recorded_sender *sender = service->server->recorded_senders;
  while (sender && (sender->service != service || !is_same(&sender->peer, peer)))
    sender = sender->next;
  return sender;
}

/* It is in the list no more. */
static void finish(struct recorded_sender *sender) {
  timer_cancel(&sender->service->server->world->timers, &sender->silence);
  recording_finish_datagrams(sender->recording);
  free(sender);
}

static void expire(struct timer *timer) {
  struct recorded_sender *sender =
      (struct recorded_sender *)((char *)timer - offsetof(struct recorded_sender, silence));
  if (sender->in_hand > 0) return;
  struct recorded_sender **link = &sender->service->server->recorded_senders;
  while (*link != sender) link = &(*link)->next;
  *link = sender->next;
  finish(sender);
}

/* Without a timer the recording is written when the server stops. */
static void note_life(struct recorded_sender *sender) {
  struct server *server = sender->service->server;
  (void)timer_set(&server->world->timers, &sender->silence, server->now + SILENCE);
}

/* NULL: there is no memory, or no file for a further recording. */
static struct recorded_sender *create(struct service *service, const union peer_address *peer,
                                      const struct session *session) {
  struct recorded_sender *sender = malloc(sizeof *sender);
  if (!sender) return NULL;
  *sender = (struct recorded_sender){
      .next = service->server->recorded_senders, .service = service, .silence.expire = expire};
  sender->peer = *peer;
  if (!recording_begin_datagrams(&sender->recording, service, session)) {
    free(sender);
    return NULL;
  }
  service->server->recorded_senders = sender;
  return sender;
}

struct recorded_sender *recorded_senders_receive(struct service *service,
                                                 const union peer_address *peer,
                                                 struct session *session, struct span datagram) {
  struct recorded_sender *sender = find(service, peer);
  if (!sender) sender = create(service, peer, session);
  if (!sender) return NULL;
  sender->in_hand++;
  session_set_tap(session, recording_tap(sender->recording));
  recording_datagram(&sender->recording, true, datagram);
  note_life(sender);
  return sender;
}

void recorded_senders_answer(struct recorded_sender *sender, struct span datagram) {
  recording_datagram(&sender->recording, false, datagram);
}

void recorded_senders_end(struct recorded_sender *sender, struct session *session) {
  session_set_tap(session, NULL);
  sender->in_hand--;
  note_life(sender);
}

void recorded_senders_finish(struct server *server) {
  struct recorded_sender *next;
  for (struct recorded_sender *sender = server->recorded_senders; sender; sender = next) {
    next = sender->next;
    finish(sender);
  }
  server->recorded_senders = NULL;
}
