/* socket_channel.h: a socket as a channel (base/channel.h). Private to the io room: network.c makes
 * them. */
#ifndef IO_SOCKET_CHANNEL_H
#define IO_SOCKET_CHANNEL_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/status.h"
#include "io/poller.h"

/* The channels of a network. All zeros is none. */
struct socket_channels {
  struct poller *poller;
  struct socket_channel *first;
  struct socket_channel *closed; /* Freed at the end of the turn. */
  size_t count;
};

struct socket_channel {
  struct event_handler event_handler; /* First, so that a pointer to it points to the channel. */
  struct channel channel;
  struct socket_channels *channels; /* NULL: these are gone. */
  struct socket_channel *next;
  struct socket_channel *previous;
  /* While it connects: is called when that has ended. errno is 0, or why it has failed. */
  void (*on_connected)(struct socket_channel *socket, int error);
  void *context; /* For on_connected. */
  int fd;        /* -1: it was closed. */
  unsigned interest : 8;
  bool is_polled : 1; /* The poller has the descriptor. */
};

/* Begins to connect. STATUS_OK: on_connected will be called. STATUS_AGAIN: the backlog of a Unix
 * socket is full. STATUS_ERROR: it has failed at once, and errno says why. STATUS_FULL: there is no
 * descriptor left. */
enum status socket_channel_connect(struct socket_channels *channels,
                                   const struct sockaddr_storage *address,
                                   struct socket_channel **created);

/* The same as channel->class->close(). */
void socket_channel_close(struct socket_channel *socket, bool reset);

void socket_channels_free_closed(struct socket_channels *channels);

/* Closes all sockets. Their users still have to close the channels, which are broken. */
void socket_channels_break(struct socket_channels *channels);

#endif
