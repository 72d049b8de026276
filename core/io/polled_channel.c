#include "io/polled_channel.h"

#include <stdlib.h>

#include "io/socket.h"

_Static_assert((int)CHANNEL_NONE == (int)POLLER_NONE && (int)CHANNEL_READ == (int)POLLER_READ &&
                   (int)CHANNEL_WRITE == (int)POLLER_WRITE,
               "interest in a channel is interest in its descriptor");

/* ---- polling ------------------------------------------------------------------------------- */

static void stop_polling(struct polled_channel *polled) {
  if (polled->is_polled) poller_remove(polled->channels->poller, polled->fd);
  polled->is_polled = false;
}

/* epoll reports a broken channel again and again, wanted or not. Such a channel is taken out of the
 * poller until it is wanted. */
void polled_channel_watch(struct channel *channel, unsigned interest) {
  struct polled_channel *polled = polled_channel_of(channel);
  unsigned wanted = interest & polled->directions;
  if (polled->fd < 0 || (polled->is_polled && wanted == polled->interest)) return;
  struct poller *poller = polled->channels->poller;
  polled->interest = wanted & 0xff;
  if (polled->is_polled)
    (void)poller_change(poller, polled->fd, wanted);
  else if (wanted != CHANNEL_NONE)
    polled->is_polled = poller_add(poller, polled->fd, wanted, &polled->event_handler) == STATUS_OK;
}

void polled_channel_on_event(struct event_handler *event_handler, unsigned events) {
  struct polled_channel *polled = (struct polled_channel *)event_handler;
  if (polled->fd < 0) return;
  if ((events & POLLER_GONE) && polled->interest == CHANNEL_NONE) stop_polling(polled);
  unsigned ready = events & polled->interest;
  if (ready && polled->channel.user) polled->channel.user->on_ready(polled->channel.user, ready);
}

/* ---- life ---------------------------------------------------------------------------------- */

enum status polled_channel_add(struct polled_channels *channels, struct polled_channel *polled,
                               unsigned interest) {
  enum status status = poller_add(channels->poller, polled->fd, interest, &polled->event_handler);
  if (status != STATUS_OK) return status;
  polled->interest = interest & 0xff;
  polled->is_polled = true;
  polled->channels = channels;
  polled->next = channels->first;
  if (polled->next) polled->next->previous = polled;
  channels->first = polled;
  channels->descriptors++;
  return STATUS_OK;
}

void polled_channel_close_descriptor(struct polled_channel *polled, bool reset) {
  if (polled->fd < 0) return;
  stop_polling(polled);
  socket_close(polled->fd, reset);
  polled->fd = -1;
  polled->channels->descriptors--;
}

static void leave_list(struct polled_channels *channels, struct polled_channel *polled) {
  if (polled->previous)
    polled->previous->next = polled->next;
  else
    channels->first = polled->next;
  if (polled->next) polled->next->previous = polled->previous;
}

/* An event of the turn may still name it. */
void polled_channel_close(struct channel *channel, bool reset) {
  struct polled_channel *polled = polled_channel_of(channel);
  struct polled_channels *channels = polled->channels;
  if (!channels) {
    free(polled);
    return;
  }
  polled_channel_close_descriptor(polled, reset);
  leave_list(channels, polled);
  polled->next = channels->closed;
  channels->closed = polled;
}

void polled_channels_free_closed(struct polled_channels *channels) {
  while (channels->closed) {
    struct polled_channel *polled = channels->closed;
    channels->closed = polled->next;
    free(polled);
  }
}

void polled_channels_break(struct polled_channels *channels) {
  while (channels->first) {
    struct polled_channel *polled = channels->first;
    polled_channel_close_descriptor(polled, true);
    leave_list(channels, polled);
    polled->channels = NULL;
  }
  polled_channels_free_closed(channels);
}
