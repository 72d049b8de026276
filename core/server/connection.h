/* connection.h: a socket joined to a session. Private to the server room.
 *
 * A connection is first named (if names are looked up), then talks, then lingers: its sending side
 * is shut down and what the peer still sends is thrown away, because closing a socket with unread
 * bytes would reset the connection and could destroy the response on its way. */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include "io/socket.h"
#include "server/loop.h"

/* Takes over a socket that was just accepted; on failure it is closed and that is logged. */
void connection_open(struct listener *listener, int fd, const struct sockaddr *peer);

/* The server is stopping: see session_drain(). */
void connection_drain(struct connection *connection);

/* Its handler may have a successor: see session_migrate(). */
void connection_migrate(struct connection *connection);

/* Ends it now; the script is told only if `tells`. It is freed by connection_free_ended(). */
void connection_abort(struct connection *connection, bool tells);

/* Strings that it sends, and that count for nobody any more, count for it. */
void connection_claim(struct connection *connection);

/* Bytes in memory: an unfinished request, and output that was not sent. */
size_t connection_buffered(const struct connection *connection);

/* Ends it because all connections together have too many of them. */
void connection_refuse(struct connection *connection);

struct connection *connection_next(const struct connection *connection);

/* Frees all that ended in this turn. */
void connection_free_ended(struct server *server);

#endif
