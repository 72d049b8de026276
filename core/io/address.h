/* address.h: the addresses of listeners and peers.
 *
 * An address is written "host:port", "[ipv6]:port", ":port" (every interface, both families) or
 * "unix:PATH". "tcp:" may stand before those of the first kind, and "udp:" makes them addresses for
 * datagrams. A listener's may also be "systemd:NAME". */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/status.h"

/* The size of the longest text that address_format() writes, with its terminator. */
enum { ADDRESS_TEXT_MAX = 128 };

enum address_kind {
  ADDRESS_TCP,
  ADDRESS_UDP,
  ADDRESS_UNIX,
  ADDRESS_SYSTEMD /* Sockets that systemd has passed, of the name `host`; "": of any name. */
};

/* A parsed --listen argument. */
struct address {
  enum address_kind kind;
  bool is_tls;    /* Of a listener: TLS over it. */
  int passed_fd;  /* The listening socket, if systemd has opened it; 0: it is still to be opened. */
  char host[256]; /* A name, a numeric address, "" for every interface, or the path for Unix. */
  unsigned port;  /* 0: any free port. */
};

/* The address of a peer. Each connection has one, so that it is smaller than sockaddr_storage. */
union peer_address {
  struct sockaddr any;
  struct sockaddr_in ipv4;
  struct sockaddr_in6 ipv6;
};

/* Parses text. On failure *why is a static phrase ("the port is not a number from 0 to 65535"). */
enum status address_parse(const char *text, struct address *address, const char **why);

/* The same for a listener, which may have one of the schemes that are for listeners alone. */
enum status address_parse_listener(const char *text, struct address *address, const char **why);

/* Whether a name is "localhost" or ends in ".localhost": it means the loopback and is not looked up
 * (RFC 6761, 6.3). */
bool address_is_localhost(const char *host);

/* Returns a suggestion for a text that address_parse() refuses, as the end of a message, such as
 * ' (did you mean ":8888"?)' for a port alone, or "". Valid until the next call. */
const char *address_hint(const char *text);

/* Writes the host of a socket address in numbers ("127.0.0.1", "::1" or, with the number of its
 * link, "fe80::1%2", never with brackets) into host[ADDRESS_TEXT_MAX], and its port. A Unix address
 * gives "unix" and port 0. */
void address_numeric(const struct sockaddr *socket_address, char *host, unsigned *port);

/* Copies the address of a peer. Only the family of a Unix address is copied. */
void address_copy_peer(const struct sockaddr *socket_address, union peer_address *peer);

/* Writes the 16 bytes of an IP address; an IPv4 address is written as ::ffff:a.b.c.d. False: the
 * address is of another family. */
bool address_ip(const union peer_address *peer, unsigned char ip[16]);

/* Makes the address of a peer from the bytes of an IP address: 4 of IPv4, or 16 of IPv6. */
void address_set_ip(union peer_address *peer, const unsigned char *ip, bool is_ipv6, unsigned port);

/* Whether the 16 bytes are those of an IPv4 address. */
bool address_is_ipv4(const unsigned char ip[16]);

/* What counts as one peer, as a number: an IPv4 address, or the /64 that an IPv6 address is in,
 * because whoever has one of its addresses has all. False: the address is of another family. */
bool address_network(const union peer_address *peer, uint64_t *network);

/* Writes "host:port", with brackets around an IPv6 host, into text[ADDRESS_TEXT_MAX]. A host of
 * more than 119 bytes is cut off; numeric hosts are shorter. */
void address_format(const char *host, unsigned port, char *text);

#endif
