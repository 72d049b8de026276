/* linger.h: how long a connection whose session has ended waits for its peer.
 *
 * The sending side is closed. Closing the socket while bytes arrive would reset the connection, and
 * the peer might lose its last response. */
#ifndef SERVER_LINGER_H
#define SERVER_LINGER_H

#include <stdint.h>

#include "session/reason.h"

struct connection;

/* For how many ms the peer may go on sending. While the server is stopping, an idle peer loses
 * nothing if its socket is closed at once when it was sent nothing, or when it had its last
 * response LINGER_TIME_DRAINING ago. */
int64_t linger_time(const struct connection *connection, enum reason reason, int64_t idle_since);

/* For how many ms it waits once more. */
int64_t linger_time_again(const struct connection *connection);

/* The time to linger is over. Returns for how many ms the connection waits once more; 0: it is to
 * be closed. A peer that still takes bytes of its response gets all of them, and then once more the
 * same time to stop sending. */
int64_t linger_look(struct connection *connection);

#endif
