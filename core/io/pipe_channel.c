#include "io/pipe_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct pipe_channel {
  struct event_handler event_handler; /* First, so that a pointer to it points to the channel. */
  struct channel channel;
  struct pipe_channels *channels; /* NULL: these are gone. */
  struct pipe_channel *next;
  struct pipe_channel *previous;
  int fd; /* -1: it was closed. */
  unsigned interest : 8;
  bool is_read : 1;   /* It is received from; else it is sent to. */
  bool is_polled : 1; /* The poller has the descriptor. */
};

static struct pipe_channel *of_channel(struct channel *channel) {
  return (struct pipe_channel *)((char *)channel - offsetof(struct pipe_channel, channel));
}

/* ---- polling ------------------------------------------------------------------------------- */

static void stop_polling(struct pipe_channel *pipe) {
  if (pipe->is_polled) poller_remove(pipe->channels->poller, pipe->fd);
  pipe->is_polled = false;
}

/* epoll reports a pipe whose other end is closed again and again, wanted or not. Such a pipe is
 * taken out of the poller until it is wanted. */
static void watch(struct channel *channel, unsigned interest) {
  struct pipe_channel *pipe = of_channel(channel);
  if (pipe->fd < 0) return;
  unsigned wanted = POLLER_NONE;
  if (pipe->is_read && (interest & CHANNEL_READ)) wanted = POLLER_READ;
  if (!pipe->is_read && (interest & CHANNEL_WRITE)) wanted = POLLER_WRITE;
  if (pipe->is_polled && wanted == pipe->interest) return;
  pipe->interest = wanted & 0xff;
  if (pipe->is_polled)
    (void)poller_change(pipe->channels->poller, pipe->fd, wanted);
  else if (wanted != POLLER_NONE)
    pipe->is_polled =
        poller_add(pipe->channels->poller, pipe->fd, wanted, &pipe->event_handler) == STATUS_OK;
}

static void on_event(struct event_handler *event_handler, unsigned events) {
  struct pipe_channel *pipe = (struct pipe_channel *)event_handler;
  if (pipe->fd < 0) return;
  if ((events & POLLER_GONE) && pipe->interest == POLLER_NONE) stop_polling(pipe);
  if (pipe->interest == POLLER_NONE || !pipe->channel.user) return;
  pipe->channel.user->on_ready(pipe->channel.user, pipe->is_read ? CHANNEL_READ : CHANNEL_WRITE);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static void close_descriptor(struct pipe_channel *pipe) {
  if (pipe->fd < 0) return;
  stop_polling(pipe);
  close(pipe->fd);
  pipe->fd = -1;
  pipe->channels->descriptors--;
}

static enum status receive(struct channel *channel, char *into, size_t capacity, size_t *length) {
  struct pipe_channel *pipe = of_channel(channel);
  ssize_t got;
  if (!pipe->is_read || pipe->fd < 0) return STATUS_CLOSED;
  do got = read(pipe->fd, into, capacity);
  while (got < 0 && errno == EINTR);
  if (got > 0) {
    *length = (size_t)got;
    return STATUS_OK;
  }
  if (got < 0) return errno == EAGAIN ? STATUS_AGAIN : STATUS_ERROR;
  close_descriptor(pipe);
  return STATUS_CLOSED;
}

static enum status send_bytes(struct channel *channel, const char *bytes, size_t length,
                              size_t *sent) {
  const struct pipe_channel *pipe = of_channel(channel);
  ssize_t written;
  if (pipe->is_read || pipe->fd < 0) return STATUS_ERROR;
  do written = write(pipe->fd, bytes, length);
  while (written < 0 && errno == EINTR);
  if (written < 0) return errno == EAGAIN ? STATUS_AGAIN : STATUS_ERROR;
  *sent = (size_t)written;
  return STATUS_OK;
}

static void shut(struct channel *channel) {
  struct pipe_channel *pipe = of_channel(channel);
  if (!pipe->is_read) close_descriptor(pipe);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void unlink_pipe(struct pipe_channels *channels, struct pipe_channel *pipe) {
  if (pipe->previous)
    pipe->previous->next = pipe->next;
  else
    channels->first = pipe->next;
  if (pipe->next) pipe->next->previous = pipe->previous;
}

/* An event of the turn may still name it. */
static void close_channel(struct channel *channel, bool reset) {
  struct pipe_channel *pipe = of_channel(channel);
  struct pipe_channels *channels = pipe->channels;
  (void)reset;
  if (!channels) {
    free(pipe);
    return;
  }
  close_descriptor(pipe);
  unlink_pipe(channels, pipe);
  pipe->next = channels->closed;
  channels->closed = pipe;
}

static const struct channel_class pipe_class = {.receive = receive,
                                                .send = send_bytes,
                                                .watch = watch,
                                                .shutdown = shut,
                                                .close = close_channel};

enum status pipe_channel_create(struct pipe_channels *channels, int fd, bool is_read,
                                struct channel **created) {
  struct pipe_channel *pipe = calloc(1, sizeof *pipe);
  enum status status = pipe ? STATUS_OK : STATUS_NO_MEMORY;
  if (status == STATUS_OK)
    status = poller_add(channels->poller, fd, POLLER_NONE, &pipe->event_handler);
  if (status != STATUS_OK) {
    close(fd);
    free(pipe);
    return status;
  }
  *pipe = (struct pipe_channel){.event_handler.on_event = on_event,
                                .channel.class = &pipe_class,
                                .channels = channels,
                                .next = channels->first,
                                .fd = fd,
                                .interest = POLLER_NONE,
                                .is_read = is_read,
                                .is_polled = true};
  if (channels->first) channels->first->previous = pipe;
  channels->first = pipe;
  channels->descriptors++;
  *created = &pipe->channel;
  return STATUS_OK;
}

void pipe_channels_free_closed(struct pipe_channels *channels) {
  while (channels->closed) {
    struct pipe_channel *pipe = channels->closed;
    channels->closed = pipe->next;
    free(pipe);
  }
}

void pipe_channels_break(struct pipe_channels *channels) {
  while (channels->first) {
    struct pipe_channel *pipe = channels->first;
    close_descriptor(pipe);
    unlink_pipe(channels, pipe);
    pipe->channels = NULL;
  }
  pipe_channels_free_closed(channels);
}
