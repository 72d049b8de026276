/* tunnel.h: a tunnel whose bytes the kernel moves, past the session: where both ends are sockets.
 * Private to the server room.
 *
 * The handler of the session begins and ends it (session/tunnel.h). */
#ifndef SERVER_TUNNEL_H
#define SERVER_TUNNEL_H

#include <stdbool.h>

#include "io/poller.h"

struct connection;
struct session_owner;
struct session_joint;

/* The hooks of a session (session.h). A connection that is recorded, or has TLS, is not
 * joined. */
bool tunnel_join(struct session_owner *owner, struct session_joint *joint);
void tunnel_part(struct session_owner *owner);

/* The socket of the connection, which has a tunnel, can be read or written. May abort the session.
 */
void tunnel_take(struct connection *connection, unsigned events);

/* What the connection is to be polled for. */
unsigned tunnel_interest(const struct connection *connection);

#endif
