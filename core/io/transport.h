/* transport.h: the way of the bytes of a connection to its peer and back. Today this is a plain
 * socket.
 *
 * The results are those of io/socket.h. A transport owns its descriptor, which transport_close()
 * closes. The descriptor may be given to a poller, and to calls that ask only where the peer is. */
#ifndef IO_TRANSPORT_H
#define IO_TRANSPORT_H

#include "io/socket.h"

struct transport {
  int fd; /* -1: it is closed. */
};

static inline void transport_init(struct transport *transport, int fd) {
  *transport = (struct transport){.fd = fd};
}

static inline enum status transport_read(struct transport *transport, char *into, size_t capacity,
                                         size_t *length) {
  return socket_read(transport->fd, into, capacity, length);
}

static inline enum status transport_write(struct transport *transport, const struct span *spans,
                                          size_t count, bool more, size_t *sent) {
  return socket_write(transport->fd, spans, count, more, sent);
}

static inline enum status transport_send_file(struct transport *transport, int file,
                                              int64_t *offset, size_t length, size_t *sent) {
  return socket_send_file(transport->fd, file, offset, length, sent);
}

/* Returns how many of the bytes written the peer has not acknowledged. */
static inline size_t transport_unacknowledged(const struct transport *transport) {
  return socket_unacknowledged(transport->fd);
}

/* Ends the sending side; the receiving side stays open. */
static inline void transport_shutdown_write(struct transport *transport) {
  socket_shutdown_write(transport->fd);
}

/* Closes. `reset`: the peer sees that the end is no orderly one. */
static inline void transport_close(struct transport *transport, bool reset) {
  socket_close(transport->fd, reset);
  transport->fd = -1;
}

#endif
