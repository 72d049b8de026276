/* datagram_channel.h: a UDP socket as base/datagrams.h describes it. Private to the io room:
 * network.c opens them. */
#ifndef IO_DATAGRAM_CHANNEL_H
#define IO_DATAGRAM_CHANNEL_H

#include "base/datagrams.h"
#include "io/polled_channel.h"

/* datagrams_class.open() for these channels. */
enum status datagram_channel_open(struct polled_channels *channels, enum datagrams_family family,
                                  struct channel **opened, const char **why);

/* The rest of the class. Each function may be called after the descriptor was closed, and fails
 * then. */
extern const struct datagrams_class datagram_channel_functions;

#endif
