/* connection.h: a socket joined to a session. Private to the server room.
 *
 * It goes through phases (enum phase in connection_internal.h): first those of opening.h, then its
 * session talks, and at the end it lingers. */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include "server/loop.h"

/* Takes over a socket that was just accepted. On failure the socket is closed and a line is logged.
 */
void connection_open(struct listener *listener, int fd, const struct sockaddr *peer);

/* The server is stopping: see session_drain(). */
void connection_drain(struct connection *connection);

/* To be called when the handler may have a successor: see session_migrate(). */
void connection_migrate(struct connection *connection);

/* Ends the connection now. The script learns of it only if `tells`. connection_free_ended() frees
 * the connection. */
void connection_abort(struct connection *connection, bool tells);

/* Counts shared strings that the connection sends, and that no other connection counts, as its own.
 */
void connection_claim(struct connection *connection);

/* Returns the bytes in memory of an unfinished request and of output that was not sent. */
size_t connection_buffered(const struct connection *connection);

/* Ends the connection because all connections together buffer too many bytes. */
void connection_refuse(struct connection *connection);

struct connection *connection_next(const struct connection *connection);

/* Frees the connections that have ended in this turn. */
void connection_free_ended(struct server *server);

#endif
