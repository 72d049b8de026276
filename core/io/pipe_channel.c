#include "io/pipe_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* It is received from; else it is sent to. */
static bool is_read_end(const struct polled_channel *pipe) {
  return pipe->directions == CHANNEL_READ;
}

static enum status receive(struct channel *channel, char *into, size_t capacity, size_t *length) {
  struct polled_channel *pipe = polled_channel_of(channel);
  ssize_t got;
  if (!is_read_end(pipe) || pipe->fd < 0) return STATUS_CLOSED;
  do got = read(pipe->fd, into, capacity);
  while (got < 0 && errno == EINTR);
  if (got > 0) {
    *length = (size_t)got;
    return STATUS_OK;
  }
  if (got < 0) return errno == EAGAIN ? STATUS_AGAIN : STATUS_ERROR;
  polled_channel_close_descriptor(pipe, false);
  return STATUS_CLOSED;
}

static enum status send_bytes(struct channel *channel, const char *bytes, size_t length,
                              size_t *sent) {
  const struct polled_channel *pipe = polled_channel_of(channel);
  ssize_t written;
  if (is_read_end(pipe) || pipe->fd < 0) return STATUS_ERROR;
  do written = write(pipe->fd, bytes, length);
  while (written < 0 && errno == EINTR);
  if (written < 0) return errno == EAGAIN ? STATUS_AGAIN : STATUS_ERROR;
  *sent = (size_t)written;
  return STATUS_OK;
}

static void shut(struct channel *channel) {
  struct polled_channel *pipe = polled_channel_of(channel);
  if (!is_read_end(pipe)) polled_channel_close_descriptor(pipe, false);
}

static const struct channel_class pipe_class = {.receive = receive,
                                                .send = send_bytes,
                                                .watch = polled_channel_watch,
                                                .shutdown = shut,
                                                .close = polled_channel_close};

enum status pipe_channel_create(struct polled_channels *channels, int fd, bool is_read,
                                struct channel **created) {
  struct polled_channel *pipe = calloc(1, sizeof *pipe);
  enum status status = STATUS_NO_MEMORY;
  if (pipe) {
    *pipe = (struct polled_channel){.event_handler.on_event = polled_channel_on_event,
                                    .channel.class = &pipe_class,
                                    .fd = fd,
                                    .directions = is_read ? CHANNEL_READ : CHANNEL_WRITE};
    status = polled_channel_add(channels, pipe, CHANNEL_NONE);
  }
  if (status != STATUS_OK) {
    close(fd);
    free(pipe);
    return status;
  }
  *created = &pipe->channel;
  return STATUS_OK;
}
