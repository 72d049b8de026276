/* recorded_senders.h: who has sent datagrams that are recorded. Private to the server room.
 *
 * What somebody sends to a service, from one address and port, is one recording, which ends when
 * nothing was sent either way for a while. Each datagram in hand has a pointer to its sender, or
 * NULL if it is not recorded. */
#ifndef SERVER_RECORDED_SENDERS_H
#define SERVER_RECORDED_SENDERS_H

#include "server/loop.h"

struct recorded_sender;

/* Records a datagram of this peer, and what the script says to other servers for it: to be called
 * before the session gets it. Returns NULL if it is not recorded. */
struct recorded_sender *recorded_senders_receive(struct service *service,
                                                 const union peer_address *peer,
                                                 struct session *session, struct span datagram);

/* Records a datagram to the sender. */
void recorded_senders_answer(struct recorded_sender *sender, struct span datagram);

/* To be called when a session has ended, before it is destroyed. */
void recorded_senders_end(struct recorded_sender *sender, struct session *session);

/* Writes all recordings. No session may be in hand. */
void recorded_senders_finish(struct server *server);

#endif
