/* datagrams.h: a listener for datagrams. Private to the server room.
 *
 * Each datagram has a session of its own (session/datagram.h), which ends with its answer. Most end
 * before the next one begins. Those whose handler waits run beside each other, up to
 * limits.max_datagrams; then the listener is paused, and what comes waits in the kernel. Answers
 * are queued and sent in batches. */
#ifndef SERVER_DATAGRAMS_H
#define SERVER_DATAGRAMS_H

#include "server/loop.h"

/* Makes `listener`, whose socket is bound, a listener for datagrams. STATUS_NO_MEMORY,
 * STATUS_ERROR.
 */
enum status datagrams_init(struct listener *listener);

/* Sets the hooks of the service's sessions for datagrams. */
void datagrams_set_hooks(struct service *service);

/* Answers what has come before the server stops, for so long at most, and then takes no more. */
void datagrams_take_rest(struct listener *listener, int64_t patience);

/* Whether a datagram is not answered yet, or an answer is not sent. */
bool datagrams_are_in_hand(const struct server *server);

/* Ends all sessions, and drops what is not sent. */
void datagrams_abort_all(struct server *server);

/* Frees what datagrams_init() has made. The listener may be one for connections. */
void datagrams_deinit(struct listener *listener);

/* Frees what all listeners share. */
void datagrams_free_shared(struct server *server);

#endif
