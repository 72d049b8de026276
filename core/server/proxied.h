/* proxied.h: the header of the PROXY protocol before the bytes of a connection. Private to the
 * server room.
 *
 * No byte behind the header is read, so that the next phase finds all of its own in the socket. The
 * bytes of the header are kept until the connection is freed, and decoded again when somebody asks
 * who the peer is. */
#ifndef SERVER_PROXIED_H
#define SERVER_PROXIED_H

#include "server/connection_internal.h"

enum proxied_result {
  PROXIED_WAITS,   /* The header is not whole. */
  PROXIED_CLIENT,  /* It is whole, and connection->peer is the client that it names. */
  PROXIED_NOBODY,  /* It is whole, and names no client: the peer stays as it is. */
  PROXIED_REFUSED, /* It is none, which is logged. */
  PROXIED_GONE,    /* The peer is gone, which is logged. */
  PROXIED_NO_MEMORY
};

/* Reads what has come of the header. */
enum proxied_result proxied_read(struct connection *connection);

/* Logs that the header was not whole in time. */
void proxied_log_timeout(const struct connection *connection);

/* Changes what the header tells of the two ends. It may have been read in part, or not at all. */
void proxied_identify(const struct connection *connection, struct session_identity *identity);

#endif
