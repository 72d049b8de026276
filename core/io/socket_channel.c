#include "io/socket_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>

#include "io/address.h"
#include "io/socket.h"

_Static_assert((int)CHANNEL_ADDRESS_MAX >= (int)ADDRESS_TEXT_MAX,
               "address_format() writes an address");

/* ---- connecting ---------------------------------------------------------------------------- */

static void end_connecting(struct event_handler *event_handler, unsigned events) {
  struct socket_channel *socket = (struct socket_channel *)event_handler;
  int error = 0;
  socklen_t length = sizeof error;
  (void)events;
  if (socket->polled.fd < 0) return;
  if (getsockopt(socket->polled.fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  socket->polled.event_handler.on_event = polled_channel_on_event;
  polled_channel_watch(&socket->polled.channel, CHANNEL_NONE);
  socket->on_connected(socket, error);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static enum status receive(struct channel *channel, char *into, size_t capacity, size_t *length) {
  const struct polled_channel *socket = polled_channel_of(channel);
  if (socket->fd >= 0) return socket_read(socket->fd, into, capacity, length);
  errno = ECONNRESET;
  return STATUS_ERROR;
}

static enum status send_bytes(struct channel *channel, const char *bytes, size_t length,
                              size_t *sent) {
  const struct polled_channel *socket = polled_channel_of(channel);
  const struct span span = {bytes, length};
  if (socket->fd >= 0) return socket_write(socket->fd, &span, 1, false, sent);
  errno = EPIPE;
  return STATUS_ERROR;
}

static void shut(struct channel *channel) {
  const struct polled_channel *socket = polled_channel_of(channel);
  if (socket->fd >= 0) socket_shutdown_write(socket->fd);
}

/* ---- addresses ----------------------------------------------------------------------------- */

bool socket_channel_address(const struct channel *channel, enum channel_end end, char *text) {
  const struct polled_channel *socket = polled_channel_of_const(channel);
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  char host[ADDRESS_TEXT_MAX];
  unsigned port;
  int result = end == CHANNEL_PEER ? getpeername(socket->fd, (struct sockaddr *)&address, &length)
                                   : getsockname(socket->fd, (struct sockaddr *)&address, &length);
  if (result < 0 || address.ss_family == AF_UNIX) return false;
  address_numeric((struct sockaddr *)&address, host, &port);
  address_format(host, port, text);
  return true;
}

/* ---- life ---------------------------------------------------------------------------------- */

static const struct channel_class socket_class = {.receive = receive,
                                                  .send = send_bytes,
                                                  .watch = polled_channel_watch,
                                                  .shutdown = shut,
                                                  .close = polled_channel_close,
                                                  .address = socket_channel_address};

int socket_channel_descriptor(const struct channel *channel) {
  return channel->class == &socket_class ? polled_channel_of_const(channel)->fd : -1;
}

static socklen_t size_of(const struct sockaddr_storage *address) {
  if (address->ss_family == AF_INET) return sizeof(struct sockaddr_in);
  return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_un);
}

/* Responses must not wait for more bytes. That fails on Unix sockets, which do not wait. */
static enum status begin(int fd, const struct sockaddr_storage *address) {
  static const int on = 1;
  int result;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  do result = connect(fd, (const struct sockaddr *)address, size_of(address));
  while (result < 0 && errno == EINTR);
  if (result == 0 || errno == EINPROGRESS || errno == EALREADY) return STATUS_OK;
  return errno == EAGAIN && address->ss_family == AF_UNIX ? STATUS_AGAIN : STATUS_ERROR;
}

enum status socket_channel_connect(struct polled_channels *channels,
                                   const struct sockaddr_storage *address,
                                   struct socket_channel **created) {
  struct socket_channel *made = calloc(1, sizeof *made);
  if (!made) return STATUS_NO_MEMORY;
  int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  made->polled = (struct polled_channel){.event_handler.on_event = end_connecting,
                                         .channel.class = &socket_class,
                                         .fd = fd,
                                         .directions = CHANNEL_READ | CHANNEL_WRITE};
  enum status status = fd < 0 ? STATUS_ERROR : begin(fd, address);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE)) status = STATUS_FULL;
  if (status == STATUS_OK) status = polled_channel_add(channels, &made->polled, CHANNEL_WRITE);
  if (status != STATUS_OK) {
    int error = errno;
    socket_close(fd, false);
    free(made);
    errno = error;
    return status;
  }
  *created = made;
  return STATUS_OK;
}
