/* address.h: where to listen and who has connected.
 *
 * Texts are "host:port", "[ipv6]:port", ":port" (every interface, both families) and "unix:PATH".
 */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/status.h"

/* Longest text that address_format() writes, with its terminator. */
enum { ADDRESS_TEXT_MAX = 128 };

/* A parsed --listen argument; the host has not been looked up yet. */
struct address {
  bool is_unix;
  char host[256]; /* a name, a numeric address or "" for every interface; the path for Unix */
  unsigned port;  /* 0 takes a free one */
};

/* The address of a peer, no larger than it must be. */
union peer_address {
  struct sockaddr any;
  struct sockaddr_in ipv4;
  struct sockaddr_in6 ipv6;
};

/* Parses text. On failure *why is a static phrase ("the port is not a number from 0 to 65535"). */
enum status address_parse(const char *text, struct address *address, const char **why);

/* What a text that address_parse() refuses was meant to be, as the end of a message: " (did you
 * mean
 * \":8888\"?)" for a port alone, else "". Valid until the next call. */
const char *address_hint(const char *text);

/* Host and port of a socket address in numbers ("127.0.0.1", "::1" or, with the number of its link,
 * "fe80::1%2", never with brackets); host must hold ADDRESS_TEXT_MAX bytes. A Unix address gives
 * "unix" and port 0. */
void address_numeric(const struct sockaddr *socket_address, char *host, unsigned *port);

/* Keeps the address of a peer; of a Unix address only that it is one. */
void address_copy_peer(const struct sockaddr *socket_address, union peer_address *peer);

/* "host:port", with brackets around an IPv6 host, into text[ADDRESS_TEXT_MAX]. A host of more than
 * 119 bytes is cut off; numeric ones are shorter. */
void address_format(const char *host, unsigned port, char *text);

#endif
