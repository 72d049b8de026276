/* pipe_channel.h: one end of a pipe as a channel (base/channel.h). Private to the io room:
 * processes.c makes them.
 *
 * The descriptor is closed as soon as nothing can come of it any more: when a pipe that is read has
 * ended, and when one that is written to was shut down. */
#ifndef IO_PIPE_CHANNEL_H
#define IO_PIPE_CHANNEL_H

#include <stdbool.h>

#include "base/status.h"
#include "io/polled_channel.h"

/* Makes a channel of a descriptor that does not block, and which it owns from now on, also if that
 * fails. STATUS_NO_MEMORY. STATUS_FULL: the poller cannot hold it. */
enum status pipe_channel_create(struct polled_channels *channels, int fd, bool is_read,
                                struct channel **created);

#endif
