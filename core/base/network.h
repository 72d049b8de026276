/* network.h: how a script reaches other servers: what a world may offer.
 *
 * A request is a member of the struct that it belongs to (intrusive), and is all zeros but for
 * on_end. Its end is told by the loop, never from within the call that asked. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/datagrams.h"
#include "base/status.h"

enum network_error {
  NETWORK_OK,
  NETWORK_REFUSED,     /* Nobody listens there. */
  NETWORK_UNREACHABLE, /* No way leads there, or the machine has no descriptor or memory left. */
  NETWORK_NAME,        /* The name has no address. */
  NETWORK_CERTIFICATE, /* TLS: the certificate of the other server is refused. */
  NETWORK_HANDSHAKE    /* TLS: the handshake has failed otherwise. */
};

/* What a client of TLS shows and asks for. Texts may be "": there is none. */
struct network_tls {
  const char *address;     /* Where it connects to. */
  const char *server_name; /* Whose certificate it must be; "": the host of the address. */
  const char *ca;          /* The file of the authorities; "": those of the system. */
  const char *certificate; /* The files of the client's own certificate and of its key. */
  const char *key;
  const char *alpn; /* "h2,http/1.1": the protocols, the preferred one first. */
  bool verifies;    /* The certificate of the other server is verified. */
};

/* The size of a text that says why TLS fails, with its terminator, and the most bytes of `alpn`. */
enum { NETWORK_WHY_MAX = 512, NETWORK_ALPN_MAX = 1024 };

struct network_connect {
  /* The channel is the asker's from now on; NULL: `error` and `why` (valid during the call) tell
   * why there is none. */
  void (*on_end)(struct network_connect *asked, struct channel *channel, enum network_error error,
                 const char *why);
  void *attempt; /* The network's; NULL: nothing is under way. */
  /* What start_tls() is asked for as soon as there is a connection; NULL: nothing. */
  const struct network_tls *tls;
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

  /* Reads the files for TLS, if that was not done since they have changed. *version is a number
   * that differs when they have other contents. STATUS_ERROR: `why` says what is wrong with them.
   */
  enum status (*prepare_tls)(struct network *network, const struct network_tls *tls,
                             uint64_t *version, char why[NETWORK_WHY_MAX]);

  /* Begins TLS on a connection of this network, which stays the asker's. Its end is told as that of
   * connect(), with this channel if there is TLS. Closing the channel before ends it, and then
   * nothing is told. Until the end nothing else may be done with the channel, and the options must
   * stay valid. */
  void (*start_tls)(struct network *network, struct channel *channel, const struct network_tls *tls,
                    struct network_connect *asked);

  /* Looks up the addresses of a name, which takes 5 s at most. STATUS_NO_MEMORY. */
  enum status (*resolve)(struct network *network, const char *name, struct network_resolve *asked);
  void (*cancel_resolve)(struct network_resolve *asked);

  const struct datagrams_class *datagrams; /* NULL: it has no datagrams. */
};

#endif
