/* event_handler.h: what a poller event belongs to.
 *
 * Whoever registers a descriptor with the poller embeds a `struct event_handler` as first member
 * and hands its address in as owner; the loop then dispatches every event in the same way. */
#ifndef IO_EVENT_HANDLER_H
#define IO_EVENT_HANDLER_H

struct event_handler {
  /* events: POLLER_READ | POLLER_WRITE | POLLER_GONE. May end the handler's owner, but must leave
   * its memory alone until the loop's turn is over. */
  void (*on_event)(struct event_handler *event_handler, unsigned events);
};

#endif
