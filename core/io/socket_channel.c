#include "io/socket_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>

#include "io/address.h"
#include "io/socket.h"

static const struct channel_class socket_class;

_Static_assert((int)CHANNEL_ADDRESS_MAX >= (int)ADDRESS_TEXT_MAX,
               "address_format() writes an address");

static struct socket_channel *of_channel(struct channel *channel) {
  return (struct socket_channel *)((char *)channel - offsetof(struct socket_channel, channel));
}

/* ---- polling ------------------------------------------------------------------------------- */

static void stop_polling(struct socket_channel *socket) {
  if (socket->is_polled) poller_remove(socket->channels->poller, socket->fd);
  socket->is_polled = false;
}

/* A channel that is not watched is polled only if it was before: epoll would report again and again
 * that it is broken. */
static void watch(struct channel *channel, unsigned interest) {
  struct socket_channel *socket = of_channel(channel);
  if (socket->fd < 0) return;
  struct poller *poller = socket->channels->poller;
  unsigned wanted = ((interest & CHANNEL_READ) ? POLLER_READ : 0U) |
                    ((interest & CHANNEL_WRITE) ? POLLER_WRITE : 0U);
  if (socket->is_polled && wanted == socket->interest) return;
  socket->interest = wanted & 0xff;
  if (socket->is_polled)
    (void)poller_change(poller, socket->fd, wanted);
  else if (wanted != POLLER_NONE)
    socket->is_polled = poller_add(poller, socket->fd, wanted, &socket->event_handler) == STATUS_OK;
}

static void end_connecting(struct socket_channel *socket) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  void (*on_connected)(struct socket_channel *, int) = socket->on_connected;
  socket->on_connected = NULL;
  watch(&socket->channel, CHANNEL_NONE);
  on_connected(socket, error);
}

static void on_event(struct event_handler *event_handler, unsigned events) {
  struct socket_channel *socket = (struct socket_channel *)event_handler;
  unsigned ready =
      ((events & POLLER_READ) ? CHANNEL_READ : 0U) | ((events & POLLER_WRITE) ? CHANNEL_WRITE : 0U);
  if (socket->fd < 0) return;
  if (socket->on_connected) {
    end_connecting(socket);
    return;
  }
  if ((events & POLLER_GONE) && socket->interest == POLLER_NONE) stop_polling(socket);
  if (events & POLLER_GONE) ready |= socket->interest;
  if (ready && socket->channel.user)
    socket->channel.user->on_ready(socket->channel.user, ready & 0xff);
}

static void ignore(struct event_handler *event_handler, unsigned events) {
  (void)event_handler;
  (void)events;
}

/* ---- bytes --------------------------------------------------------------------------------- */

static enum status receive(struct channel *channel, char *into, size_t capacity, size_t *length) {
  const struct socket_channel *socket = of_channel(channel);
  if (socket->fd >= 0) return socket_read(socket->fd, into, capacity, length);
  errno = ECONNRESET;
  return STATUS_ERROR;
}

static enum status send_bytes(struct channel *channel, const char *bytes, size_t length,
                              size_t *sent) {
  const struct socket_channel *socket = of_channel(channel);
  const struct span span = {bytes, length};
  if (socket->fd >= 0) return socket_write(socket->fd, &span, 1, false, sent);
  errno = EPIPE;
  return STATUS_ERROR;
}

static void shut(struct channel *channel) {
  const struct socket_channel *socket = of_channel(channel);
  if (socket->fd >= 0) socket_shutdown_write(socket->fd);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static bool write_address(const struct channel *channel, enum channel_end end, char *text) {
  const struct socket_channel *socket =
      (const struct socket_channel *)((const char *)channel -
                                      offsetof(struct socket_channel, channel));
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

static void unlink_socket(struct socket_channels *channels, struct socket_channel *socket) {
  if (socket->previous)
    socket->previous->next = socket->next;
  else
    channels->first = socket->next;
  if (socket->next) socket->next->previous = socket->previous;
  channels->count--;
}

static void close_descriptor(struct socket_channel *socket, bool reset) {
  stop_polling(socket);
  socket_close(socket->fd, reset);
  socket->fd = -1;
  socket->event_handler.on_event = ignore;
}

/* An event of the turn may still name it. */
void socket_channel_close(struct socket_channel *socket, bool reset) {
  struct socket_channels *channels = socket->channels;
  if (!channels) {
    free(socket);
    return;
  }
  close_descriptor(socket, reset);
  unlink_socket(channels, socket);
  socket->next = channels->closed;
  channels->closed = socket;
}

static void close_channel(struct channel *channel, bool reset) {
  socket_channel_close(of_channel(channel), reset);
}

static const struct channel_class socket_class = {.receive = receive,
                                                  .send = send_bytes,
                                                  .watch = watch,
                                                  .shutdown = shut,
                                                  .close = close_channel,
                                                  .address = write_address};

void socket_channels_free_closed(struct socket_channels *channels) {
  while (channels->closed) {
    struct socket_channel *socket = channels->closed;
    channels->closed = socket->next;
    free(socket);
  }
}

void socket_channels_break(struct socket_channels *channels) {
  struct socket_channel *next;
  for (struct socket_channel *socket = channels->first; socket; socket = next) {
    next = socket->next;
    close_descriptor(socket, true);
    unlink_socket(channels, socket);
    socket->channels = NULL;
  }
  socket_channels_free_closed(channels);
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

enum status socket_channel_connect(struct socket_channels *channels,
                                   const struct sockaddr_storage *address,
                                   struct socket_channel **created) {
  struct socket_channel *made = calloc(1, sizeof *made);
  if (!made) return STATUS_NO_MEMORY;
  *made = (struct socket_channel){.event_handler.on_event = on_event,
                                  .channel.class = &socket_class,
                                  .channels = channels,
                                  .next = channels->first};
  made->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  enum status status = made->fd < 0 ? STATUS_ERROR : begin(made->fd, address);
  if (made->fd < 0 && (errno == EMFILE || errno == ENFILE)) status = STATUS_FULL;
  if (status == STATUS_OK) {
    made->interest = POLLER_WRITE;
    status = poller_add(channels->poller, made->fd, POLLER_WRITE, &made->event_handler);
    made->is_polled = status == STATUS_OK;
  }
  if (status != STATUS_OK) {
    int error = errno;
    socket_close(made->fd, false);
    free(made);
    errno = error;
    return status;
  }
  if (channels->first) channels->first->previous = made;
  channels->first = made;
  channels->count++;
  *created = made;
  return STATUS_OK;
}
