/* transfer.h: moves bytes between the socket of a connection and its session. Private to the server
 * room.
 *
 * Only for connections in PHASE_TALKING. When to call, and what follows when the session has
 * finished, is left to connection.c. */
#ifndef SERVER_TRANSFER_H
#define SERVER_TRANSFER_H

#include "server/connection_internal.h"

/* Sends, and resumes the session as room comes free, until the peer takes no more or the share of
 * this turn is used up. True: what is left waits for nothing but the next turn. */
bool transfer_send(struct connection *connection);

/* Reads once and gives the session what came. STATUS_AGAIN: there is nothing to read now. */
enum status transfer_receive(struct connection *connection);

/* The server is stopping: reads and answers what has arrived, and tells the session to end when
 * there is nothing more to read. Returns what the last transfer_send() did. */
bool transfer_drain(struct connection *connection);

/* Before a limit of time ends the session: reads and sends what the peer has made possible while
 * the server was busy, though no event has told so yet. */
void transfer_catch_up(struct connection *connection);

/* Tells the session if the peer has taken bytes from the kernel's buffer since the last check. */
void transfer_check_delivery(struct connection *connection);

/* When the next check is due while output waits, or the session's own deadline before that. */
int64_t transfer_next_check(const struct connection *connection);

/* Aborts the session for this reason. */
void transfer_abort(struct connection *connection, enum reason reason);

#endif
