/* peer_watch.h: finds peers that are gone while nothing is read from them or written to them.
 *
 * That is so while the script waits before it answers, and while a stream of a response has
 * nothing. epoll reports such a peer. Under select the connection looks once a second. */
#ifndef SERVER_PEER_WATCH_H
#define SERVER_PEER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct connection;

/* Has the poller report when the socket can be read and written, as `interest` says, and what else
 * tells of the peer. */
void peer_watch_poll(struct connection *connection, unsigned interest);

/* When peer_watch_look() is to be called; CLOCK_NEVER: the poller reports the peer. */
int64_t peer_watch_deadline(const struct connection *connection);

/* The poller has reported these events. May abort the session. */
void peer_watch_take(struct connection *connection, unsigned events);

/* Looks at the socket. May abort the session. */
void peer_watch_look(struct connection *connection);

#endif
