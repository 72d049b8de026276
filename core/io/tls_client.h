/* tls_client.h: what connections to other servers with TLS share: authorities, a certificate of our
 * own, and sessions that can be resumed.
 *
 * A list keeps one client for each set of files, 64 at most. The files are looked at each time that
 * a client is asked for, and read again when they have changed. A client is counted, so that
 * connections may outlive its place in the list. Nothing of a private key is ever in a text of
 * `why`. */
#ifndef IO_TLS_CLIENT_H
#define IO_TLS_CLIENT_H

#include <stdint.h>

#include "base/network.h"
#include "base/status.h"
#include "io/tls.h"

/* The size of the longest name with its terminator. */
enum { TLS_NAME_MAX = 256 };

struct tls_client;

/* All zeros is an empty list. */
struct tls_clients {
  struct tls_client *first; /* That was used last. */
  size_t count;
  uint64_t versions; /* How many clients were made. */
};

/* The client for these options; the list has the reference. *version is a number of its own.
 * STATUS_ERROR: `why` says what is wrong, with the name of the file. */
enum status tls_clients_find(struct tls_clients *clients, const struct network_tls *options,
                             struct tls_client **found, uint64_t *version,
                             char why[NETWORK_WHY_MAX]);

void tls_clients_clear(struct tls_clients *clients);

/* Whose certificate the other server must have: a name or an address as text. "": nobody's. */
void tls_client_name(const struct network_tls *options, char name[TLS_NAME_MAX]);

/* Our side of a connection. NULL: there is no memory. */
struct tls *tls_connect(struct tls_client *client, const struct network_tls *options, int fd);

/* Why the certificate of the other server is refused, a static text; NULL: it is not. */
const char *tls_refusal(const struct tls *tls);

#endif
