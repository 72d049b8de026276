/* notify.h: tells systemd about the state of the server. Private to the server room.
 *
 * Without a socket of systemd, the functions do nothing. None of them waits: a state that the
 * socket does not take is sent again a little later, unless a newer one has come. The signs of life
 * that a watchdog waits for are sent by a timer of the loop, so that they end when the loop hangs.
 */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include "server/loop.h"

/* `watchdog` is how often systemd wants a sign of life, in ms; 0: never. */
void notify_init(struct server *server, struct notify_socket *notify_socket, int64_t watchdog);

/* The server serves. Signs of life begin. */
void notify_ready(struct server *server);

/* A reload of all services begins, because SIGHUP has come. */
void notify_reloading(struct server *server);

/* To be called between two turns of the loop: if that reload has ended, tells how. */
void notify_reloaded(struct server *server);

/* The server finishes what it has begun, and ends. */
void notify_stopping(struct server *server);

/* Stops the timers. */
void notify_end(struct server *server);

#endif
