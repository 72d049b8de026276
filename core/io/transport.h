/* transport.h: the way of the bytes of a connection to its peer and back: a plain socket, or
 * TLS over it.
 *
 * The results are those of io/socket.h. A transport owns its descriptor, which transport_close()
 * closes. The descriptor may be given to a poller, and to calls that ask only where the peer is. */
#ifndef IO_TRANSPORT_H
#define IO_TRANSPORT_H

#include "io/socket.h"
#include "io/tls.h"

struct transport {
  int fd;          /* -1: it is closed. */
  struct tls *tls; /* NULL: it is plain. */
};

static inline void transport_init(struct transport *transport, int fd) {
  *transport = (struct transport){.fd = fd};
}

static inline enum status transport_read(struct transport *transport, char *into, size_t capacity,
                                         size_t *length) {
  if (transport->tls) return tls_read(transport->tls, into, capacity, length);
  return socket_read(transport->fd, into, capacity, length);
}

static inline enum status transport_write(struct transport *transport, const struct span *spans,
                                          size_t count, bool more, size_t *sent) {
  if (transport->tls) return tls_write(transport->tls, spans, count, more, sent);
  return socket_write(transport->fd, spans, count, more, sent);
}

static inline enum status transport_send_file(struct transport *transport, int file,
                                              int64_t *offset, size_t length, size_t *sent) {
  if (transport->tls) return tls_send_file(transport->tls, file, offset, length, sent);
  return socket_send_file(transport->fd, file, offset, length, sent);
}

/* transport_read() has more, whether or not the socket can be read. */
static inline bool transport_has_pending(const struct transport *transport) {
  return transport->tls && tls_has_pending(transport->tls);
}

/* Bytes that were written wait until the socket can be written: call transport_flush() then. */
static inline bool transport_is_blocked(const struct transport *transport) {
  return transport->tls && tls_held(transport->tls) > 0;
}

/* STATUS_AGAIN: the transport is still blocked. */
static inline enum status transport_flush(struct transport *transport) {
  return transport->tls ? tls_flush(transport->tls) : STATUS_OK;
}

/* Returns how many of the bytes written the peer has not acknowledged. */
static inline size_t transport_unacknowledged(const struct transport *transport) {
  size_t held = transport->tls ? tls_held(transport->tls) : 0;
  return held + socket_unacknowledged(transport->fd);
}

/* Ends the sending side when all bytes were sent; the receiving side stays open. */
static inline void transport_shutdown_write(struct transport *transport) {
  if (transport->tls)
    tls_shutdown_write(transport->tls);
  else
    socket_shutdown_write(transport->fd);
}

/* Closes. `reset`: the peer sees that the end is no orderly one. It sees the same if the transport
 * is blocked. */
static inline void transport_close(struct transport *transport, bool reset) {
  bool is_cut = reset || transport_is_blocked(transport);
  tls_destroy(transport->tls, !is_cut);
  socket_close(transport->fd, is_cut);
  *transport = (struct transport){.fd = -1};
}

#endif
