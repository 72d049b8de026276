/* polled_channel.h: a descriptor in the poller as a channel (base/channel.h): what is the same for
 * sockets and for pipes. Private to the io room: socket_channel.c, datagram_channel.c and
 * pipe_channel.c make them. */
#ifndef IO_POLLED_CHANNEL_H
#define IO_POLLED_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/channel.h"
#include "base/status.h"
#include "io/poller.h"

/* The channels of one owner. All zeros is none. */
struct polled_channels {
  struct poller *poller;
  struct polled_channel *first;
  struct polled_channel *closed; /* Freed at the end of the turn. */
  size_t descriptors;            /* How many are open. */
};

/* The first member of a struct on the heap, which is freed with it. */
struct polled_channel {
  struct event_handler event_handler; /* First, so that a pointer to it points to the channel. */
  struct channel channel;
  struct polled_channels *channels; /* NULL: these are gone. */
  struct polled_channel *next;
  struct polled_channel *previous;
  int fd;                  /* -1: it was closed. */
  unsigned directions : 8; /* What it can be watched for: CHANNEL_READ | CHANNEL_WRITE. */
  unsigned interest : 8;   /* What it is watched for. */
  bool is_polled : 1;      /* The poller has the descriptor. */
};

static inline struct polled_channel *polled_channel_of(struct channel *channel) {
  return (struct polled_channel *)((char *)channel - offsetof(struct polled_channel, channel));
}

static inline const struct polled_channel *polled_channel_of_const(const struct channel *channel) {
  return (const struct polled_channel *)((const char *)channel -
                                         offsetof(struct polled_channel, channel));
}

/* Gives the descriptor to the poller, and the channel to its owner. All members but those of the
 * list must be set. If it fails, as poller_add() does, the caller still has both. */
enum status polled_channel_add(struct polled_channels *channels, struct polled_channel *polled,
                               unsigned interest);

/* The event handler: tells the user. */
void polled_channel_on_event(struct event_handler *event_handler, unsigned events);

/* channel->class->watch() and close(). */
void polled_channel_watch(struct channel *channel, unsigned interest);
void polled_channel_close(struct channel *channel, bool reset);

/* Closes the descriptor alone. Does nothing if that was done. */
void polled_channel_close_descriptor(struct polled_channel *polled, bool reset);

void polled_channels_free_closed(struct polled_channels *channels);

/* Closes all descriptors. Their users still have to close the channels, which are broken. */
void polled_channels_break(struct polled_channels *channels);

#endif
