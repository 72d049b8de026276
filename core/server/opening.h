/* opening.h: the phases of a connection before its session runs (enum phase in
 * connection_internal.h). Private to the server room.
 *
 * A connection goes through the phases that it needs, in their order, and then talks. */
#ifndef SERVER_OPENING_H
#define SERVER_OPENING_H

#include "server/connection_internal.h"

/* Begins with the first phase. May end the connection, or let it talk. */
void opening_begin(struct connection *connection);

/* The session waits for its security (session_is_securing()), and has no output left: goes back to
 * PHASE_HANDSHAKE. May end the connection, or let it talk on. */
void opening_secure(struct connection *connection);

/* The script has done something to a session that waits for its security. May end the connection.
 */
void opening_turn(struct connection *connection);

/* The poller has reported the socket. */
void opening_take(struct connection *connection);

/* The timer has expired: the time of the phase is over. */
void opening_expire(struct connection *connection);

/* The server is stopping: ends the connection, unless all has come that lets it talk. */
void opening_drain(struct connection *connection);

/* Ends a connection that does not talk yet, and counts the reason. */
void opening_end(struct connection *connection, enum reason reason);

/* Ends a connection that the server cannot hold, and logs it with the detail. */
void opening_refuse(struct connection *connection, const char *detail);

#endif
