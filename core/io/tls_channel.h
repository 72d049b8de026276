/* tls_channel.h: TLS on a socket that is a channel. Private to the io room: network.c begins it.
 *
 * The channel changes its class, and is the same otherwise. TLS may have bytes that the socket does
 * not have any more: then the channel tells its user in a turn of the run queue. */
#ifndef IO_TLS_CHANNEL_H
#define IO_TLS_CHANNEL_H

#include "io/socket_channel.h"
#include "io/tls_client.h"

/* Begins the handshake in a turn of this queue. Its end is told to asked->on_end; until then the
 * options must stay valid. */
void tls_channel_begin(struct socket_channel *socket, struct ready_queue *queue,
                       struct tls_clients *clients, const struct network_tls *options,
                       struct network_connect *asked);

#endif
