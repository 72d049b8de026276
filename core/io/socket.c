#include "io/socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
  PORT_TRIES = 16,   /* Tries to find a port that is free in every family. */
  SPAN_BATCH = 64,   /* The most spans of one system call. */
  COPY_SIZE = 16384, /* Bytes of one read and write where sendfile() is not supported. */
};

static enum status fail(const char *phrase, const char **why) {
  *why = phrase;
  return STATUS_ERROR;
}

/* Closes the descriptors that a failed function has opened. errno stays the reason. */
static void close_all(const int *fds, size_t count) {
  int error = errno;
  for (size_t i = 0; i < count; i++) close(fds[i]);
  errno = error;
}

static int open_stream(int family) {
  return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* --- listening on TCP and UDP --- */

static bool is_missing_here(int error) {
  return error == EADDRNOTAVAIL || error == EAFNOSUPPORT || error == EPROTONOSUPPORT;
}

static void set_port(struct sockaddr_storage *address, in_port_t port) {
  if (address->ss_family == AF_INET6)
    ((struct sockaddr_in6 *)address)->sin6_port = port;
  else
    ((struct sockaddr_in *)address)->sin_port = port;
}

/* With SO_REUSEADDR another program could take the datagrams of a socket that is in use. */
static int set_options(int fd, const struct addrinfo *info) {
  const int on = 1;
  if (info->ai_socktype == SOCK_STREAM &&
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
    return -1;
  if (info->ai_family != AF_INET6) return 0;
  return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
}

/* Opens one listener. `port` (network order) replaces the port of the address unless it is 0. */
static enum status listen_on(const struct addrinfo *info, in_port_t port, int backlog, int *fd,
                             const char **why) {
  struct sockaddr_storage address = {0};
  memcpy(&address, info->ai_addr, info->ai_addrlen);
  if (port) set_port(&address, port);
  *fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (*fd < 0) return fail("socket", why);
  if (set_options(*fd, info) < 0)
    fail("setsockopt", why);
  else if (bind(*fd, (struct sockaddr *)&address, info->ai_addrlen) < 0)
    fail("bind", why);
  else if (info->ai_socktype == SOCK_STREAM && listen(*fd, backlog) < 0)
    fail("listen", why);
  else
    return STATUS_OK;
  close_all(fd, 1);
  return STATUS_ERROR;
}

/* A hosts file can have an address twice, and the second bind() would find it in use. */
static bool is_repeated(const struct addrinfo *first, const struct addrinfo *info) {
  for (; first != info; first = first->ai_next)
    if (first->ai_addrlen == info->ai_addrlen &&
        memcmp(first->ai_addr, info->ai_addr, info->ai_addrlen) == 0)
      return true;
  return false;
}

static enum status local_port(int fd, in_port_t *port, const char **why) {
  struct sockaddr_storage address = {0};
  char host[ADDRESS_TEXT_MAX];
  unsigned number;
  if (socket_local_address(fd, &address) != STATUS_OK) return fail("getsockname", why);
  address_numeric((struct sockaddr *)&address, host, &number);
  *port = htons((in_port_t)number);
  return STATUS_OK;
}

/* Opens all listeners, or none. */
static enum status listen_on_all(const struct addrinfo *list, int backlog, int *fds, size_t *count,
                                 const char **why) {
  in_port_t port = 0;
  int missing = 0;
  *count = 0;
  for (const struct addrinfo *info = list; info && *count < SOCKET_LISTEN_MAX;
       info = info->ai_next) {
    if (is_repeated(list, info)) continue;
    if (listen_on(info, port, backlog, &fds[*count], why) == STATUS_OK) {
      (*count)++;
      if (!port && local_port(fds[0], &port, why) != STATUS_OK) goto error;
    } else if (is_missing_here(errno)) {
      missing = errno;
    } else {
      goto error;
    }
  }
  if (*count > 0) return STATUS_OK;
  errno = missing;
error:
  close_all(fds, *count);
  *count = 0;
  return STATUS_ERROR;
}

static enum status resolve_host(const struct address *address, struct addrinfo **list,
                                const char **why) {
  /* Without a host: every interface if AI_PASSIVE is set, else the loopback. */
  bool is_loopback = address_is_localhost(address->host);
  const struct addrinfo hints = {.ai_flags = (is_loopback ? 0 : AI_PASSIVE) | AI_NUMERICSERV,
                                 .ai_family = AF_UNSPEC,
                                 .ai_socktype =
                                     address->kind == ADDRESS_UDP ? SOCK_DGRAM : SOCK_STREAM};
  const char *host = is_loopback || *address->host == '\0' ? NULL : address->host;
  char port[16];
  snprintf(port, sizeof port, "%u", address->port);
  int code = getaddrinfo(host, port, &hints, list);
  if (code == 0) return STATUS_OK;
  if (code == EAI_MEMORY)
    errno = ENOMEM;
  else if (code != EAI_SYSTEM)
    errno = EADDRNOTAVAIL;
  return fail(gai_strerror(code), why);
}

static enum status listen_inet(const struct address *address, int backlog, int *fds, size_t *count,
                               const char **why) {
  struct addrinfo *list;
  enum status status = resolve_host(address, &list, why);
  if (status != STATUS_OK) return status;
  /* The free port that the first family gives may be taken in the next. */
  int tries = address->port == 0 ? PORT_TRIES : 1;
  do status = listen_on_all(list, backlog, fds, count, why);
  while (status != STATUS_OK && errno == EADDRINUSE && --tries > 0);
  int error = errno;
  freeaddrinfo(list);
  errno = error;
  return status;
}

/* --- listening on Unix sockets --- */

/* Whether nobody listens at the address any more. If false, errno is EADDRINUSE if a server
 * listens there. */
static bool is_stale(const struct sockaddr_un *address) {
  int fd = open_stream(AF_UNIX);
  if (fd < 0) return false;
  if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN)
    errno = EADDRINUSE;
  close_all(&fd, 1);
  return errno == ECONNREFUSED;
}

/* Removes the file if it is a socket that nobody listens on. */
static enum status remove_stale(const struct sockaddr_un *address, const char **why) {
  struct stat file;
  if (lstat(address->sun_path, &file) < 0) return errno == ENOENT ? STATUS_OK : fail("lstat", why);
  if (!S_ISSOCK(file.st_mode)) {
    errno = EEXIST;
    return fail("a file that is not a socket is in the way", why);
  }
  if (!is_stale(address))
    return fail(errno == EADDRINUSE ? "another server listens there"
                                    : "the socket file in the way cannot be tried",
                why);
  if (unlink(address->sun_path) < 0 && errno != ENOENT) return fail("unlink", why);
  return STATUS_OK;
}

static enum status bind_path(int fd, const struct sockaddr_un *address, const char **why) {
  const struct sockaddr *generic = (const struct sockaddr *)address;
  if (bind(fd, generic, sizeof *address) == 0) return STATUS_OK;
  if (errno != EADDRINUSE) return fail("bind", why);
  enum status status = remove_stale(address, why);
  if (status != STATUS_OK) return status;
  return bind(fd, generic, sizeof *address) == 0 ? STATUS_OK : fail("bind", why);
}

/* bind() makes the file with 0777 without the bits of the umask, so that the umask is what gives it
 * its mode from the first moment. The umask belongs to all threads: another one that makes a file
 * at the same time would make it with this mode, but no thread does at the start. The group follows
 * before listen(), and until then the kernel refuses every connection. */
static enum status bind_with_access(int fd, const struct sockaddr_un *address,
                                    const struct socket_access *access, const char **why) {
  mode_t before = access->has_mode ? umask(0777 & ~access->mode) : 0;
  enum status status = bind_path(fd, address, why);
  if (access->has_mode) umask(before);
  if (status != STATUS_OK || !access->has_group) return status;
  if (lchown(address->sun_path, (uid_t)-1, access->group) == 0) return STATUS_OK;
  int error = errno;
  (void)unlink(address->sun_path);
  errno = error;
  return fail("the group of the file cannot be set", why);
}

static enum status listen_unix(const char *path, const struct socket_access *access, int backlog,
                               int *fd, const char **why) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return fail("the path is longer than the 107 bytes that a Unix socket can have", why);
  }
  memcpy(address.sun_path, path, length);
  *fd = open_stream(AF_UNIX);
  if (*fd < 0) return fail("socket", why);
  enum status status = bind_with_access(*fd, &address, access, why);
  if (status == STATUS_OK && listen(*fd, backlog) < 0) status = fail("listen", why);
  if (status != STATUS_OK) close_all(fd, 1);
  return status;
}

void socket_remove_file(const char *path) {
  int error = errno;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *why;
  if (strlen(path) < sizeof address.sun_path) {
    memcpy(address.sun_path, path, strlen(path));
    (void)remove_stale(&address, &why);
  }
  errno = error;
}

enum status socket_listen(const struct address *address, const struct socket_access *access,
                          int backlog, int fds[SOCKET_LISTEN_MAX], size_t *count,
                          const char **why) {
  *count = 0;
  if (address->kind != ADDRESS_UNIX) return listen_inet(address, backlog, fds, count, why);
  enum status status = listen_unix(address->host, access, backlog, &fds[0], why);
  if (status == STATUS_OK) *count = 1;
  return status;
}

enum status socket_local_address(int fd, struct sockaddr_storage *address) {
  socklen_t length = sizeof *address;
  if (getsockname(fd, (struct sockaddr *)address, &length) < 0) return STATUS_ERROR;
  return STATUS_OK;
}

enum status socket_keep_alive(int fd, int seconds) {
  const int on = 1, probes = 3, pause = seconds > probes ? seconds / probes : 1;
  if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds) == 0 &&
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause, sizeof pause) == 0 &&
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes) == 0)
    return STATUS_OK;
  return STATUS_ERROR;
}

/* --- accepting --- */

/* Linux reports network errors of the connection in the backlog as errors of accept(2), whose
 * manual page asks to treat them like EAGAIN. */
static enum status accept_failure(int error) {
  switch (error) {
  case EAGAIN:
  case ECONNABORTED:
  case ECONNRESET:
  case EPERM: /* a firewall rule */
  case EPROTO:
  case ENOPROTOOPT:
  case EOPNOTSUPP:
  case ENETDOWN:
  case ENETUNREACH:
  case EHOSTDOWN:
  case EHOSTUNREACH:
  case ENONET:
  case ETIMEDOUT: return STATUS_AGAIN;
  case EMFILE:
  case ENFILE:
  case ENOBUFS:
  case ENOMEM: return STATUS_FULL;
  default: return STATUS_ERROR;
  }
}

enum status socket_accept(int listener, int *fd, struct sockaddr_storage *peer) {
  const int on = 1;
  socklen_t length;
  do {
    length = sizeof *peer;
    peer->ss_family = AF_UNSPEC;
    *fd = accept4(listener, (struct sockaddr *)peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (*fd < 0 && errno == EINTR);
  if (*fd < 0) return accept_failure(errno);
  if (peer->ss_family == AF_INET || peer->ss_family == AF_INET6)
    (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* Slower if it fails. */
  return STATUS_OK;
}

/* --- reading and writing --- */

static enum status transfer_failure(void) { return errno == EAGAIN ? STATUS_AGAIN : STATUS_ERROR; }

static enum status receive(int fd, char *into, size_t capacity, int flags, size_t *length) {
  assert(capacity > 0);
  *length = 0;
  ssize_t got;
  do got = recv(fd, into, capacity, flags);
  while (got < 0 && errno == EINTR);
  if (got < 0) return transfer_failure();
  if (got == 0) return STATUS_CLOSED;
  *length = (size_t)got;
  return STATUS_OK;
}

enum status socket_read(int fd, char *into, size_t capacity, size_t *length) {
  return receive(fd, into, capacity, 0, length);
}

enum status socket_peek(int fd, char *into, size_t capacity, size_t *length) {
  return receive(fd, into, capacity, MSG_PEEK, length);
}

static enum status send_one(int fd, const char *data, size_t length, int flags, size_t *sent) {
  ssize_t done;
  do done = send(fd, data, length, flags);
  while (done < 0 && errno == EINTR);
  if (done < 0) return transfer_failure();
  *sent = (size_t)done;
  return STATUS_OK;
}

static enum status send_several(int fd, const struct span *spans, size_t count, int flags,
                                size_t *sent) {
  struct iovec parts[SPAN_BATCH];
  for (size_t i = 0; i < count; i++)
    parts[i] =
        (struct iovec){.iov_base = (void *)(uintptr_t)spans[i].data, .iov_len = spans[i].length};
  const struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
  ssize_t done;
  do done = sendmsg(fd, &message, flags);
  while (done < 0 && errno == EINTR);
  if (done < 0) return transfer_failure();
  *sent = (size_t)done;
  return STATUS_OK;
}

enum status socket_write(int fd, const struct span *spans, size_t count, bool more, size_t *sent) {
  *sent = 0;
  if (count == 0) return STATUS_OK;
  if (count > SPAN_BATCH) {
    count = SPAN_BATCH;
    more = true;
  }
  int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
  if (count == 1) return send_one(fd, spans[0].data, spans[0].length, flags, sent);
  return send_several(fd, spans, count, flags, sent);
}

static enum status copy_file(int fd, int file, int64_t *offset, size_t length, size_t *sent) {
  char bytes[COPY_SIZE];
  ssize_t got;
  do got = pread(file, bytes, length < sizeof bytes ? length : sizeof bytes, *offset);
  while (got < 0 && errno == EINTR);
  if (got < 0) return STATUS_ERROR;
  if (got == 0) return STATUS_CLOSED;
  enum status status = send_one(fd, bytes, (size_t)got, MSG_NOSIGNAL, sent);
  *offset += (int64_t)*sent;
  return status;
}

enum status socket_send_file(int fd, int file, int64_t *offset, size_t length, size_t *sent) {
  *sent = 0;
  if (length == 0) return STATUS_OK;
  off_t position = *offset;
  ssize_t done;
  do done = sendfile(fd, file, &position, length);
  while (done < 0 && errno == EINTR);
  if (done < 0 && (errno == EINVAL || errno == ENOSYS))
    return copy_file(fd, file, offset, length, sent);
  if (done < 0) return transfer_failure();
  if (done == 0) return STATUS_CLOSED;
  *offset = position;
  *sent = (size_t)done;
  return STATUS_OK;
}

size_t socket_unacknowledged(int fd) {
  int length = 0;
  return ioctl(fd, SIOCOUTQ, &length) == 0 && length > 0 ? (size_t)length : 0;
}

enum socket_peer socket_peer(int fd) {
  struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
  if (poll(&polled, 1, 0) <= 0) return SOCKET_PEER_THERE;
  if (polled.revents & POLLERR) return SOCKET_PEER_BROKEN;
  if (polled.revents & POLLHUP) return SOCKET_PEER_GONE;
  return polled.revents & POLLRDHUP ? SOCKET_PEER_ENDED : SOCKET_PEER_THERE;
}

/* --- ending --- */

void socket_shutdown_write(int fd) { (void)shutdown(fd, SHUT_WR); }

void socket_close(int fd, bool reset) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (fd < 0) return;
  if (reset) (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}
