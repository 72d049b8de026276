/* datagrams.h: sockets for datagrams: what a network (base/network.h) may offer besides streams.
 *
 * Such a socket is a channel (base/channel.h) whose class has watch() and close() alone, and the
 * functions here. None of them waits, and none calls the user of the channel. Hosts are numeric:
 * "127.0.0.1", "::1". Where a function fails, *why is a text that the next call may overwrite. */
#ifndef BASE_DATAGRAMS_H
#define BASE_DATAGRAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/channel.h"
#include "base/span.h"
#include "base/status.h"

struct network;

enum datagrams_family { DATAGRAMS_IPV4, DATAGRAMS_IPV6 };

/* No datagram has more bytes. */
enum { DATAGRAM_MAX = 65536 };

struct datagrams_address {
  char host[CHANNEL_ADDRESS_MAX];
  unsigned port;
};

struct datagrams_class {
  /* The channel is the caller's, bound to nothing. STATUS_NO_MEMORY: *why is not set.
   * STATUS_FULL, STATUS_ERROR. */
  enum status (*open)(struct network *network, enum datagrams_family family,
                      struct channel **opened, const char **why);

  /* Chooses the own address. "" is every interface, and port 0 any free one. STATUS_ERROR. */
  enum status (*bind)(struct channel *channel, const char *host, unsigned port, const char **why);

  /* Chooses the only peer; NULL: there is none any more. STATUS_ERROR. */
  enum status (*connect)(struct channel *channel, const char *host, unsigned port,
                         const char **why);

  /* Sends one datagram to an address; NULL: to the peer. STATUS_AGAIN: it takes none now.
   * STATUS_ERROR: this datagram, or one that was sent before, has failed. The socket can still be
   * used. */
  enum status (*send)(struct channel *channel, const char *host, unsigned port,
                      struct span datagram, const char **why);

  /* Takes one datagram, which may have no bytes. What is longer than `capacity` is cut off.
   * STATUS_AGAIN: there is none now. STATUS_ERROR: as for send(). */
  enum status (*receive)(struct channel *channel, char *into, size_t capacity, size_t *length,
                         struct datagrams_address *from, const char **why);

  /* False: it has none. */
  bool (*address)(const struct channel *channel, enum channel_end end,
                  struct datagrams_address *address);

  /* Options, by the names of LuaSocket. STATUS_ERROR: the socket does not have it. */
  enum status (*set_option)(struct channel *channel, const char *name, int value);
  enum status (*get_option)(const struct channel *channel, const char *name, int *value);
};

#endif
