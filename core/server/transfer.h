/* transfer.h: moves bytes between the socket of a connection and its session. Private to the server
 * room.
 *
 * Only for connections in PHASE_TALKING. When to call, and what follows when the session has
 * finished, is left to connection.c. */
#ifndef SERVER_TRANSFER_H
#define SERVER_TRANSFER_H

#include "server/connection_internal.h"

/* Sends, and resumes the session when the output has room again. Stops when the peer takes no more
 * or when the share of this turn is used up. True: the rest can go on in the next turn. */
bool transfer_send(struct connection *connection);

/* The session has said all: ends sending, once the output is sent. */
void transfer_shutdown(struct connection *connection);

/* Reads once and gives the session what came. STATUS_AGAIN: there is nothing to read now. */
enum status transfer_receive(struct connection *connection);

/* To be called when the server is stopping: reads and answers the requests that have arrived, and
 * tells the session to end when nothing is left to read. Returns what the last transfer_send()
 * returned. */
bool transfer_drain(struct connection *connection);

/* To be called before a limit of time ends the session: reads and sends once more. The peer may
 * have sent or read while the server was busy, and the event may not have arrived yet. */
void transfer_catch_up(struct connection *connection);

/* Tells the session if the peer has taken bytes from the kernel's buffer since the last check. */
void transfer_check_delivery(struct connection *connection);

/* Returns when the next check is due while output waits, or the session's deadline if that is
 * earlier. */
int64_t transfer_next_check(const struct connection *connection);

/* Aborts the session for this reason. */
void transfer_abort(struct connection *connection, enum reason reason);

#endif
