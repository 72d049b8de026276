/* network.h: how a script reaches other servers: what a world may offer.
 *
 * A request is a member of the struct that it belongs to (intrusive), and is all zeros but for
 * on_end. Its end is told by the loop, never from within the call that asked. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <stddef.h>

#include "base/channel.h"
#include "base/datagrams.h"
#include "base/status.h"

enum network_error {
  NETWORK_OK,
  NETWORK_REFUSED,     /* Nobody listens there. */
  NETWORK_UNREACHABLE, /* No way leads there, or the machine has no descriptor or memory left. */
  NETWORK_NAME         /* The name has no address. */
};

struct network_connect {
  /* The channel is the asker's from now on; NULL: `error` and `why` (valid during the call) tell
   * why there is none. */
  void (*on_end)(struct network_connect *asked, struct channel *channel, enum network_error error,
                 const char *why);
  void *attempt; /* The network's; NULL: nothing is under way. */
};

/* The most addresses of a name that count. */
enum { NETWORK_ADDRESSES_MAX = 16 };

struct network_resolve {
  /* The addresses as text, such as "127.0.0.1" and "::1", in the order in which they are to be
   * tried; none: `why` tells the reason. All are valid during the call. */
  void (*on_end)(struct network_resolve *asked, const char *const *addresses, size_t count,
                 const char *why);
  void *lookup; /* The network's; NULL: nothing is under way. */
};

struct network {
  /* Begins to connect to "host:port", "[ipv6]:port" or "unix:PATH". STATUS_ERROR: it is no such
   * address, and *why is a static phrase. STATUS_NO_MEMORY. Has no limit of time. */
  enum status (*connect)(struct network *network, const char *address,
                         struct network_connect *asked, const char **why);

  /* Its end is not told any more. Does nothing if nothing is under way. */
  void (*cancel_connect)(struct network_connect *asked);

  /* Looks up the addresses of a name, which takes 5 s at most. STATUS_NO_MEMORY. */
  enum status (*resolve)(struct network *network, const char *name, struct network_resolve *asked);
  void (*cancel_resolve)(struct network_resolve *asked);

  const struct datagrams_class *datagrams; /* NULL: it has no datagrams. */
};

#endif
