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

/* For how many ms a lingering peer may take no byte of its last response. */
int64_t linger_patience(const struct connection *connection);

#endif
