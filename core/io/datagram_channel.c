#include "io/datagram_channel.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/address.h"
#include "io/socket.h"

_Static_assert((int)CHANNEL_ADDRESS_MAX >= (int)ADDRESS_TEXT_MAX,
               "address_numeric() writes an address");

struct datagram_channel {
  struct polled_channel polled; /* First, so that a pointer to it points to the channel. */
  int family;
};

static int descriptor_of(const struct channel *channel) {
  return polled_channel_of_const(channel)->fd;
}

static int family_of(const struct channel *channel) {
  return ((const struct datagram_channel *)polled_channel_of_const(channel))->family;
}

/* ---- errors -------------------------------------------------------------------------------- */

/* LuaSocket has its own texts for some errors. */
static enum status fail(int error, const char **why) {
  switch (error) {
  case EACCES: *why = "permission denied"; break;
  case EADDRINUSE: *why = "address already in use"; break;
  case EBADF: *why = "closed"; break;
  case ECONNREFUSED: *why = "connection refused"; break;
  case EMFILE:
  case ENFILE: *why = "no descriptor is left"; break;
  default: *why = strerror(error);
  }
  return STATUS_ERROR;
}

static enum status result_of(int result, const char **why) {
  return result < 0 ? fail(errno, why) : STATUS_OK;
}

/* ---- addresses ----------------------------------------------------------------------------- */

struct socket_address {
  struct sockaddr_storage any;
  socklen_t size;
};

/* The host is numeric: nothing is looked up. */
static enum status read_address(const struct channel *channel, const char *host, unsigned port,
                                struct socket_address *address, const char **why) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                 .ai_family = family_of(channel),
                                 .ai_socktype = SOCK_DGRAM};
  struct addrinfo *list;
  char service[16];
  snprintf(service, sizeof service, "%u", port);
  int error = getaddrinfo(*host ? host : NULL, service, &hints, &list);
  if (error != 0) {
    *why = gai_strerror(error);
    return STATUS_ERROR;
  }
  memcpy(&address->any, list->ai_addr, list->ai_addrlen);
  address->size = list->ai_addrlen;
  freeaddrinfo(list);
  return STATUS_OK;
}

static bool get_address(const struct channel *channel, enum channel_end end,
                        struct datagrams_address *address) {
  struct sockaddr_storage any = {0};
  socklen_t size = sizeof any;
  int fd = descriptor_of(channel);
  int result = end == CHANNEL_PEER ? getpeername(fd, (struct sockaddr *)&any, &size)
                                   : getsockname(fd, (struct sockaddr *)&any, &size);
  if (result < 0) return false;
  address_numeric((const struct sockaddr *)&any, address->host, &address->port);
  return true;
}

static enum status bind_to(struct channel *channel, const char *host, unsigned port,
                           const char **why) {
  struct socket_address address = {0};
  enum status status = read_address(channel, host, port, &address, why);
  if (status != STATUS_OK) return status;
  return result_of(
      bind(descriptor_of(channel), (const struct sockaddr *)&address.any, address.size), why);
}

/* An address of the family AF_UNSPEC, which is 0, takes the peer away. */
static enum status connect_to(struct channel *channel, const char *host, unsigned port,
                              const char **why) {
  struct socket_address address = {.size = sizeof(struct sockaddr)};
  enum status status = STATUS_OK;
  if (host) status = read_address(channel, host, port, &address, why);
  if (status != STATUS_OK) return status;
  return result_of(
      connect(descriptor_of(channel), (const struct sockaddr *)&address.any, address.size), why);
}

/* ---- datagrams ----------------------------------------------------------------------------- */

static enum status send_to(struct channel *channel, const char *host, unsigned port,
                           struct span datagram, const char **why) {
  struct socket_address address = {0};
  enum status status = STATUS_OK;
  if (host) status = read_address(channel, host, port, &address, why);
  if (status != STATUS_OK) return status;
  ssize_t sent;
  do
    sent = sendto(descriptor_of(channel), datagram.data, datagram.length, MSG_NOSIGNAL,
                  host ? (const struct sockaddr *)&address.any : NULL, address.size);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return STATUS_AGAIN;
  return result_of(sent < 0 ? -1 : 0, why);
}

static enum status receive_from(struct channel *channel, char *into, size_t capacity,
                                size_t *length, struct datagrams_address *from, const char **why) {
  struct sockaddr_storage any = {0};
  ssize_t received;
  do {
    socklen_t size = sizeof any;
    received = recvfrom(descriptor_of(channel), into, capacity, 0, (struct sockaddr *)&any, &size);
  } while (received < 0 && errno == EINTR);
  if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return STATUS_AGAIN;
  if (received < 0) return fail(errno, why);
  *length = (size_t)received;
  address_numeric((const struct sockaddr *)&any, from->host, &from->port);
  return STATUS_OK;
}

/* ---- options ------------------------------------------------------------------------------- */

static const struct option {
  const char *name;
  int level;
  int number;
} options[] = {{"broadcast", SOL_SOCKET, SO_BROADCAST},
               {"dontroute", SOL_SOCKET, SO_DONTROUTE},
               {"reuseaddr", SOL_SOCKET, SO_REUSEADDR},
               {"reuseport", SOL_SOCKET, SO_REUSEPORT},
               {"recv-buffer-size", SOL_SOCKET, SO_RCVBUF},
               {"send-buffer-size", SOL_SOCKET, SO_SNDBUF},
               {"ip-multicast-ttl", IPPROTO_IP, IP_MULTICAST_TTL},
               {"ip-multicast-loop", IPPROTO_IP, IP_MULTICAST_LOOP},
               {"ipv6-unicast-hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS},
               {"ipv6-multicast-hops", IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
               {"ipv6-multicast-loop", IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
               {"ipv6-v6only", IPPROTO_IPV6, IPV6_V6ONLY}};

static const struct option *find_option(const char *name) {
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (strcmp(options[i].name, name) == 0) return &options[i];
  return NULL;
}

static enum status set_option(struct channel *channel, const char *name, int value) {
  const struct option *option = find_option(name);
  if (!option) return STATUS_ERROR;
  int result =
      setsockopt(descriptor_of(channel), option->level, option->number, &value, sizeof value);
  return result < 0 ? STATUS_ERROR : STATUS_OK;
}

static enum status get_option(const struct channel *channel, const char *name, int *value) {
  const struct option *option = find_option(name);
  socklen_t size = sizeof *value;
  if (!option) return STATUS_ERROR;
  int result = getsockopt(descriptor_of(channel), option->level, option->number, value, &size);
  return result < 0 ? STATUS_ERROR : STATUS_OK;
}

/* ---- life ---------------------------------------------------------------------------------- */

static const struct channel_class udp_class = {.watch = polled_channel_watch,
                                               .close = polled_channel_close};

const struct datagrams_class datagram_channel_functions = {.bind = bind_to,
                                                           .connect = connect_to,
                                                           .send = send_to,
                                                           .receive = receive_from,
                                                           .address = get_address,
                                                           .set_option = set_option,
                                                           .get_option = get_option};

/* LuaSocket keeps the two families apart. */
static int make_socket(int family) {
  static const int on = 1;
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && family == AF_INET6)
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  return fd;
}

enum status datagram_channel_open(struct polled_channels *channels, enum datagrams_family family,
                                  struct channel **opened, const char **why) {
  struct datagram_channel *made = calloc(1, sizeof *made);
  if (!made) return STATUS_NO_MEMORY;
  made->family = family == DATAGRAMS_IPV6 ? AF_INET6 : AF_INET;
  made->polled = (struct polled_channel){.event_handler.on_event = polled_channel_on_event,
                                         .channel.class = &udp_class,
                                         .fd = make_socket(made->family),
                                         .directions = CHANNEL_READ | CHANNEL_WRITE};
  enum status status = made->polled.fd < 0
                           ? STATUS_ERROR
                           : polled_channel_add(channels, &made->polled, CHANNEL_NONE);
  if (status == STATUS_OK) {
    *opened = &made->polled.channel;
    return STATUS_OK;
  }
  (void)fail(status == STATUS_FULL ? EMFILE : errno, why);
  socket_close(made->polled.fd, false);
  free(made);
  return status;
}
