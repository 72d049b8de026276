#include "io/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

static enum status refuse(const char *reason, const char **why) {
  *why = reason;
  return STATUS_ERROR;
}

static enum status parse_path(const char *path, struct address *address, const char **why) {
  size_t length = strlen(path);
  if (length == 0) return refuse("the path after unix: is empty", why);
  if (length >= sizeof((struct sockaddr_un *)0)->sun_path)
    return refuse("the path is longer than the 107 bytes that a Unix socket can have", why);
  address->kind = ADDRESS_UNIX;
  memcpy(address->host, path, length + 1);
  return STATUS_OK;
}

static enum status parse_port(const char *text, struct address *address, const char **why) {
  unsigned port = 0;
  if (*text == '\0') return refuse("the port is missing", why);
  for (; *text >= '0' && *text <= '9' && port <= 65535; text++)
    port = port * 10 + (unsigned)(*text - '0');
  if (*text != '\0' || port > 65535) return refuse("the port is not a number from 0 to 65535", why);
  address->port = port;
  return STATUS_OK;
}

/* host[0..length) is the text between the brackets: "::1", "fe80::1%eth0". */
static bool is_ipv6(const char *host, size_t length) {
  char text[INET6_ADDRSTRLEN + 1];
  struct in6_addr binary;
  const char *scope = memchr(host, '%', length);
  if (scope) length = (size_t)(scope - host);
  if (length >= sizeof text) return false;
  memcpy(text, host, length);
  text[length] = '\0';
  return inet_pton(AF_INET6, text, &binary) == 1;
}

static enum status parse_bracketed(const char *text, struct address *address, const char **why) {
  const char *host = text + 1;
  const char *end = strchr(host, ']');
  if (!end) return refuse("the bracket is not closed", why);
  size_t length = (size_t)(end - host);
  if (length >= sizeof address->host || !is_ipv6(host, length))
    return refuse("what stands in brackets is not an IPv6 address", why);
  if (end[1] != ':') return refuse("the port is missing", why);
  memcpy(address->host, host, length);
  return parse_port(end + 2, address, why);
}

static bool skip(const char **text, const char *scheme) {
  size_t length = strlen(scheme);
  if (strncmp(*text, scheme, length) != 0) return false;
  *text += length;
  return true;
}

enum status address_parse(const char *text, struct address *address, const char **why) {
  *address = (struct address){0};
  if (skip(&text, "unix:")) return parse_path(text, address, why);
  if (skip(&text, "udp:"))
    address->kind = ADDRESS_UDP;
  else
    (void)skip(&text, "tcp:");
  if (*text == '[') return parse_bracketed(text, address, why);
  const char *colon = strchr(text, ':');
  if (!colon) return refuse("the port is missing", why);
  if (strchr(colon + 1, ':'))
    return refuse("an IPv6 address needs brackets, as in [::1]:8888", why);
  size_t length = (size_t)(colon - text);
  if (length >= sizeof address->host) return refuse("the host is too long", why);
  memcpy(address->host, text, length);
  return parse_port(colon + 1, address, why);
}

static enum status parse_name(const char *name, struct address *address, const char **why) {
  *address = (struct address){.kind = ADDRESS_SYSTEMD};
  if (strlen(name) >= sizeof address->host || strchr(name, ':'))
    return refuse("what stands behind systemd: is no name of a socket", why);
  memcpy(address->host, name, strlen(name) + 1);
  return STATUS_OK;
}

enum status address_parse_listener(const char *text, struct address *address, const char **why) {
  bool is_tls = skip(&text, "tls:");
  enum status status =
      skip(&text, "systemd:") ? parse_name(text, address, why) : address_parse(text, address, why);
  if (status == STATUS_OK && is_tls && address->kind == ADDRESS_UDP)
    return refuse("TLS is not for udp:", why);
  address->is_tls = is_tls;
  return status;
}

bool address_is_localhost(const char *host) {
  static const char name[] = "localhost";
  size_t length = strlen(host);
  if (length > 0 && host[length - 1] == '.') length--;
  if (length < sizeof name - 1) return false;
  const char *start = host + length - (sizeof name - 1);
  return strncasecmp(start, name, sizeof name - 1) == 0 && (start == host || start[-1] == '.');
}

const char *address_hint(const char *text) {
  static char hint[ADDRESS_TEXT_MAX];
  struct address address;
  const char *why;
  bool is_number = strspn(text, "0123456789") == strlen(text);
  hint[0] = '\0';
  if (is_number && parse_port(text, &address, &why) == STATUS_OK)
    snprintf(hint, sizeof hint, " (did you mean \":%.64s\"?)", text);
  else if (*text == '/' || *text == '.')
    snprintf(hint, sizeof hint, " (did you mean \"unix:%.64s\"?)", text);
  else if (!is_number && !strpbrk(text, ":[]"))
    snprintf(hint, sizeof hint, " (did you mean \"%.64s:8888\"?)", text);
  return hint;
}

static void numeric_ipv6(const struct sockaddr_in6 *in6, char *host) {
  inet_ntop(AF_INET6, &in6->sin6_addr, host, ADDRESS_TEXT_MAX);
  if (!in6->sin6_scope_id) return;
  /* A link-local address means nothing without its link. */
  size_t length = strlen(host);
  snprintf(host + length, ADDRESS_TEXT_MAX - length, "%%%u", (unsigned)in6->sin6_scope_id);
}

void address_numeric(const struct sockaddr *socket_address, char *host, unsigned *port) {
  if (socket_address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, socket_address, sizeof in);
    inet_ntop(AF_INET, &in.sin_addr, host, ADDRESS_TEXT_MAX);
    *port = ntohs(in.sin_port);
  } else if (socket_address->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, socket_address, sizeof in6);
    numeric_ipv6(&in6, host);
    *port = ntohs(in6.sin6_port);
  } else {
    memcpy(host, "unix", sizeof "unix");
    *port = 0;
  }
}

void address_copy_peer(const struct sockaddr *socket_address, union peer_address *peer) {
  *peer = (union peer_address){.any.sa_family = socket_address->sa_family};
  if (socket_address->sa_family == AF_INET)
    memcpy(&peer->ipv4, socket_address, sizeof peer->ipv4);
  else if (socket_address->sa_family == AF_INET6)
    memcpy(&peer->ipv6, socket_address, sizeof peer->ipv6);
}

static const unsigned char before_ipv4[12] = {[10] = 0xff, [11] = 0xff};

bool address_ip(const union peer_address *peer, unsigned char ip[16]) {
  if (peer->any.sa_family == AF_INET) {
    memcpy(ip, before_ipv4, sizeof before_ipv4);
    memcpy(ip + sizeof before_ipv4, &peer->ipv4.sin_addr, 4);
  } else if (peer->any.sa_family == AF_INET6) {
    memcpy(ip, &peer->ipv6.sin6_addr, 16);
  } else {
    return false;
  }
  return true;
}

void address_set_ip(union peer_address *peer, const unsigned char *ip, bool is_ipv6,
                    unsigned port) {
  *peer = (union peer_address){.any.sa_family = is_ipv6 ? AF_INET6 : AF_INET};
  if (is_ipv6) {
    memcpy(&peer->ipv6.sin6_addr, ip, 16);
    peer->ipv6.sin6_port = htons((uint16_t)port);
  } else {
    memcpy(&peer->ipv4.sin_addr, ip, 4);
    peer->ipv4.sin_port = htons((uint16_t)port);
  }
}

bool address_is_ipv4(const unsigned char ip[16]) {
  return memcmp(ip, before_ipv4, sizeof before_ipv4) == 0;
}

/* The last bytes of ::ffff:a.b.c.d are the first ones of no IPv6 address that a peer can have:
 * those that begin with a zero byte are reserved (RFC 4291, 2.4). */
bool address_network(const union peer_address *peer, uint64_t *network) {
  unsigned char ip[16];
  if (!address_ip(peer, ip)) return false;
  memcpy(network, address_is_ipv4(ip) ? ip + 8 : ip, sizeof *network);
  return true;
}

void address_format(const char *host, unsigned port, char *text) {
  enum { HOST_MAX = ADDRESS_TEXT_MAX - (int)sizeof "[]:65535" };
  const char *format = strchr(host, ':') ? "[%.*s]:%u" : "%.*s:%u";
  snprintf(text, ADDRESS_TEXT_MAX, format, HOST_MAX, host, port & 0xffff);
}
