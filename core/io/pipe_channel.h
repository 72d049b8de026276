/* pipe_channel.h: one end of a pipe as a channel (base/channel.h). Private to the io room:
 * processes.c makes them.
 *
 * The descriptor is closed as soon as nothing can come of it any more: when a pipe that is read has
 * ended, and when one that is written to was shut down. */
#ifndef IO_PIPE_CHANNEL_H
#define IO_PIPE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/channel.h"
#include "base/status.h"
#include "io/poller.h"

struct pipe_channel;

/* The channels of all processes. All zeros is none. */
struct pipe_channels {
  struct poller *poller;
  struct pipe_channel *first;
  struct pipe_channel *closed; /* Freed at the end of the turn. */
  size_t descriptors;          /* How many are open. */
};

/* Makes a channel of a descriptor that does not block, and which it owns from now on, also if that
 * fails. STATUS_NO_MEMORY. STATUS_FULL: the poller cannot hold it. */
enum status pipe_channel_create(struct pipe_channels *channels, int fd, bool is_read,
                                struct channel **created);

void pipe_channels_free_closed(struct pipe_channels *channels);

/* Closes all descriptors. Their users still have to close the channels, which are broken. */
void pipe_channels_break(struct pipe_channels *channels);

#endif
