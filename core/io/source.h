/* source.h: what a poller event belongs to.
 *
 * Whoever registers a descriptor with the poller embeds a `struct io_source` as first member and
 * hands its address in as owner; the loop then dispatches every event in the same way. */
#ifndef IO_SOURCE_H
#define IO_SOURCE_H

struct io_source {
  /* events: POLLER_READ | POLLER_WRITE | POLLER_GONE. May end the source's owner, but must leave
   * its memory alone until the loop's turn is over. */
  void (*ready)(struct io_source *source, unsigned events);
};

#endif
