/* socket_channel.h: a socket as a channel (base/channel.h). Private to the io room: network.c makes
 * them. */
#ifndef IO_SOCKET_CHANNEL_H
#define IO_SOCKET_CHANNEL_H

#include <sys/socket.h>

#include "base/network.h"
#include "base/ready.h"
#include "base/status.h"
#include "io/polled_channel.h"
#include "io/tls.h"

struct socket_channel {
  struct polled_channel polled; /* First, so that a pointer to it points to the channel. */
  /* While it connects: is called when that has ended. errno is 0, or why it has failed. */
  void (*on_connected)(struct socket_channel *socket, int error);
  void *context;     /* For on_connected. */
  struct tls *tls;   /* See tls_channel.h; NULL: it is plain. */
  struct ready turn; /* All of these are of TLS. */
  struct ready_queue *turn_queue;
  struct tls_clients *clients;
  const struct network_tls *options; /* During the handshake. */
  struct network_connect *asked;     /* Who waits for its end; NULL: nobody does. */
};

/* The descriptor of a channel of this class; -1: it has another class, or was closed. */
int socket_channel_descriptor(const struct channel *channel);

/* channel->class->address(). */
bool socket_channel_address(const struct channel *channel, enum channel_end end, char *text);

/* Begins to connect. STATUS_OK: on_connected will be called. STATUS_AGAIN: the backlog of a Unix
 * socket is full. STATUS_ERROR: it has failed at once, and errno says why. STATUS_FULL: there is no
 * descriptor left. */
enum status socket_channel_connect(struct polled_channels *channels,
                                   const struct sockaddr_storage *address,
                                   struct socket_channel **created);

#endif
