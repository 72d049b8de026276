#include "io/datagram_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- control messages ---------------------------------------------------------------------- */

/* Room for the own address of one datagram. */
struct control {
  _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static bool is_any(const union peer_address *address) {
  if (address->any.sa_family == AF_INET) return address->ipv4.sin_addr.s_addr == htonl(INADDR_ANY);
  return IN6_IS_ADDR_UNSPECIFIED(&address->ipv6.sin6_addr);
}

enum status datagram_socket_prepare(int fd) {
  const int on = 1;
  union peer_address address = {0};
  socklen_t length = sizeof address;
  if (getsockname(fd, &address.any, &length) < 0) return STATUS_ERROR;
  if (!is_any(&address)) return STATUS_OK;
  int result = address.any.sa_family == AF_INET6
                   ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on)
                   : setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  return result < 0 ? STATUS_ERROR : STATUS_OK;
}

/* A datagram to a group is answered from an address that the kernel chooses. */
static void read_own_ipv6(const struct cmsghdr *header, struct datagram_route *route) {
  struct in6_pktinfo info;
  memcpy(&info, CMSG_DATA(header), sizeof info);
  bool is_of_link =
      IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&info.ipi6_addr);
  route->link = is_of_link ? info.ipi6_ifindex : 0;
  route->has_own = !IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
  route->own.ipv6 = info.ipi6_addr;
}

/* ipi_spec_dst is an address of this machine, whatever the datagram was sent to. */
static void read_own_ipv4(const struct cmsghdr *header, struct datagram_route *route) {
  struct in_pktinfo info;
  memcpy(&info, CMSG_DATA(header), sizeof info);
  route->has_own = true;
  route->own.ipv4 = info.ipi_spec_dst;
}

static void read_own(struct msghdr *message, struct datagram_route *route) {
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO)
      read_own_ipv4(header, route);
    else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO)
      read_own_ipv6(header, route);
  }
}

static void write_control(struct msghdr *message, struct control *control, int level, int type,
                          const void *info, size_t length) {
  message->msg_control = control;
  message->msg_controllen = CMSG_SPACE(length);
  memset(control, 0, sizeof *control);
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(length);
  memcpy(CMSG_DATA(header), info, length);
}

static void write_own(struct msghdr *message, struct control *control,
                      const struct datagram_route *route) {
  if (!route->has_own) return;
  if (route->peer.any.sa_family == AF_INET6) {
    struct in6_pktinfo info = {.ipi6_addr = route->own.ipv6, .ipi6_ifindex = route->link};
    write_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  } else {
    struct in_pktinfo info = {.ipi_spec_dst = route->own.ipv4};
    write_control(message, control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  }
}

/* ---- receiving ----------------------------------------------------------------------------- */

struct datagram_inbox {
  struct mmsghdr messages[DATAGRAM_SOCKET_BATCH];
  struct iovec places[DATAGRAM_SOCKET_BATCH];
  union peer_address peers[DATAGRAM_SOCKET_BATCH];
  struct control controls[DATAGRAM_SOCKET_BATCH];
  char bytes[DATAGRAM_SOCKET_BATCH][DATAGRAM_SOCKET_MAX + 1];
};

struct datagram_inbox *datagram_inbox_create(void) {
  struct datagram_inbox *inbox = calloc(1, sizeof *inbox);
  if (!inbox) return NULL;
  for (size_t i = 0; i < DATAGRAM_SOCKET_BATCH; i++) {
    struct msghdr *message = &inbox->messages[i].msg_hdr;
    inbox->places[i] = (struct iovec){inbox->bytes[i], DATAGRAM_SOCKET_MAX};
    message->msg_iov = &inbox->places[i];
    message->msg_iovlen = 1;
    message->msg_name = &inbox->peers[i];
    message->msg_control = &inbox->controls[i];
    message->msg_namelen = sizeof inbox->peers[i];
    message->msg_controllen = sizeof inbox->controls[i];
  }
  return inbox;
}

void datagram_inbox_destroy(struct datagram_inbox *inbox) { free(inbox); }

/* An unconnected socket gets few errors of the network, and each of them once. */
static bool is_of_network(int error) {
  switch (error) {
  case ECONNREFUSED:
  case ECONNRESET:
  case EHOSTDOWN:
  case EHOSTUNREACH:
  case EMSGSIZE:
  case ENETDOWN:
  case ENETUNREACH:
  case ENOBUFS:
  case ENOMEM:
  case ENOPROTOOPT:
  case EPERM:
  case EPROTO: return true;
  default: return false;
  }
}

/* So many reports of the network are passed over in one call. */
enum { REPORTS = 64 };

enum status datagram_inbox_receive(struct datagram_inbox *inbox, int fd, size_t most,
                                   size_t *count) {
  int received, reports = 0;
  do received = recvmmsg(fd, inbox->messages, (unsigned)most, MSG_DONTWAIT, NULL);
  while (received < 0 && (errno == EINTR || (is_of_network(errno) && ++reports < REPORTS)));
  *count = received > 0 ? (size_t)received : 0;
  if (received >= 0) return received > 0 ? STATUS_OK : STATUS_AGAIN;
  return errno == EAGAIN || is_of_network(errno) ? STATUS_AGAIN : STATUS_ERROR;
}

struct span datagram_inbox_take(const struct datagram_inbox *inbox, size_t nth,
                                struct datagram_route *route) {
  struct mmsghdr *message = (struct mmsghdr *)&inbox->messages[nth];
  route->peer = inbox->peers[nth];
  route->has_own = false;
  route->link = 0;
  if (message->msg_hdr.msg_controllen > 0) read_own(&message->msg_hdr, route);
  message->msg_hdr.msg_namelen = sizeof inbox->peers[nth]; /* As the kernel is to find it. */
  message->msg_hdr.msg_controllen = sizeof inbox->controls[nth];
  return (struct span){inbox->bytes[nth], message->msg_len};
}

/* ---- sending ------------------------------------------------------------------------------- */

struct datagram_waiting {
  struct datagram_route route;
  size_t offset;
  size_t length;
};

/* What is kept when nothing waits. */
enum { KEPT_BYTES = 64 * 1024, KEPT_COUNT = 256 };

static bool grow(void **memory, size_t *capacity, size_t needed, size_t size) {
  if (needed <= *capacity) return true;
  size_t larger = *capacity > 0 ? *capacity : 32;
  while (larger < needed) larger *= 2;
  void *grown = realloc(*memory, larger * size);
  if (!grown) return false;
  *memory = grown;
  *capacity = larger;
  return true;
}

/* Moves what waits over what was sent. */
static void compact(struct datagram_outbox *outbox) {
  size_t count = outbox->end - outbox->first;
  size_t sent = count > 0 ? outbox->waiting[outbox->first].offset : outbox->bytes_end;
  if (outbox->first == 0) return;
  memmove(outbox->bytes, outbox->bytes + sent, outbox->bytes_end - sent);
  memmove(outbox->waiting, outbox->waiting + outbox->first, count * sizeof *outbox->waiting);
  for (size_t i = 0; i < count; i++) outbox->waiting[i].offset -= sent;
  outbox->bytes_end -= sent;
  outbox->end = count;
  outbox->first = 0;
}

static bool has_space(const struct datagram_outbox *outbox, size_t length) {
  return outbox->end < DATAGRAM_OUTBOX_MAX && length <= DATAGRAM_OUTBOX_BYTES - outbox->bytes_end;
}

enum status datagram_outbox_add(struct datagram_outbox *outbox, const struct datagram_route *route,
                                struct span datagram) {
  void *waiting = outbox->waiting, *bytes = outbox->bytes;
  if (!has_space(outbox, datagram.length)) compact(outbox);
  if (!has_space(outbox, datagram.length)) return STATUS_FULL;
  bool has_room = grow(&waiting, &outbox->capacity, outbox->end + 1, sizeof *outbox->waiting) &&
                  grow(&bytes, &outbox->bytes_capacity, outbox->bytes_end + datagram.length, 1);
  outbox->waiting = waiting;
  outbox->bytes = bytes;
  if (!has_room) return STATUS_NO_MEMORY;
  if (datagram.length > 0)
    memcpy(outbox->bytes + outbox->bytes_end, datagram.data, datagram.length);
  outbox->waiting[outbox->end++] =
      (struct datagram_waiting){*route, outbox->bytes_end, datagram.length};
  outbox->bytes_end += datagram.length;
  return STATUS_OK;
}

static socklen_t length_of(const union peer_address *peer) {
  return peer->any.sa_family == AF_INET6 ? sizeof peer->ipv6 : sizeof peer->ipv4;
}

/* Fills in the messages of the next batch. Returns how many they are. */
static unsigned prepare(const struct datagram_outbox *outbox, struct mmsghdr *messages,
                        struct iovec *places, struct control *controls) {
  size_t count = outbox->end - outbox->first;
  if (count > DATAGRAM_SOCKET_BATCH) count = DATAGRAM_SOCKET_BATCH;
  for (size_t i = 0; i < count; i++) {
    struct datagram_waiting *waiting = &outbox->waiting[outbox->first + i];
    places[i] = (struct iovec){outbox->bytes + waiting->offset, waiting->length};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &waiting->route.peer,
                                          .msg_namelen = length_of(&waiting->route.peer),
                                          .msg_iov = &places[i],
                                          .msg_iovlen = 1};
    write_own(&messages[i].msg_hdr, &controls[i], &waiting->route);
  }
  return (unsigned)count;
}

static void empty(struct datagram_outbox *outbox) {
  bool is_large = outbox->bytes_capacity > KEPT_BYTES || outbox->capacity > KEPT_COUNT;
  if (is_large) datagram_outbox_deinit(outbox);
  outbox->first = outbox->end = outbox->bytes_end = 0;
}

static enum status drop_first(struct datagram_outbox *outbox, struct span *failed,
                              struct datagram_route *route) {
  const struct datagram_waiting *waiting = &outbox->waiting[outbox->first++];
  *failed = (struct span){outbox->bytes + waiting->offset, waiting->length};
  *route = waiting->route;
  return STATUS_ERROR;
}

enum status datagram_outbox_send(struct datagram_outbox *outbox, int fd, struct span *failed,
                                 struct datagram_route *route) {
  struct mmsghdr messages[DATAGRAM_SOCKET_BATCH];
  struct iovec places[DATAGRAM_SOCKET_BATCH];
  struct control controls[DATAGRAM_SOCKET_BATCH];
  int reports = 0;
  while (!datagram_outbox_is_empty(outbox)) {
    unsigned count = prepare(outbox, messages, places, controls);
    int sent = sendmmsg(fd, messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
      outbox->first += (size_t)sent;
    else if (errno == EAGAIN)
      return STATUS_AGAIN;
    else if (errno == ECONNREFUSED && ++reports < REPORTS) /* Of a datagram that was sent before. */
      continue;
    else if (errno != EINTR)
      return drop_first(outbox, failed, route);
  }
  empty(outbox);
  return STATUS_OK;
}

void datagram_outbox_deinit(struct datagram_outbox *outbox) {
  free(outbox->waiting);
  free(outbox->bytes);
  *outbox = (struct datagram_outbox){0};
}
