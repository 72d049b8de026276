#include "io/passed_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/socket.h"

enum {
  FIRST = 3,        /* The descriptor of the first socket. */
  COUNT_MAX = 65536 /* More than this are a mistake. */
};

/* The number that the text is, or -1. */
static long number_of(const char *text) {
  char *end;
  if (!text || *text < '0' || *text > '9') return -1;
  errno = 0;
  long number = strtol(text, &end, 10);
  return errno == 0 && *end == '\0' ? number : -1;
}

static bool prepare(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

enum status passed_sockets_init(struct passed_sockets *sockets, const char *pid, const char *count,
                                const char *names) {
  *sockets = (struct passed_sockets){0};
  long number = number_of(count);
  if (number_of(pid) != (long)getpid() || number <= 0 || number > COUNT_MAX) return STATUS_OK;
  for (int i = 0; i < number; i++)
    if (!prepare(FIRST + i)) return STATUS_ERROR;
  sockets->is_taken = calloc((size_t)number, sizeof *sockets->is_taken);
  if (!sockets->is_taken) return STATUS_ERROR;
  sockets->count = (size_t)number;
  sockets->names = names;
  return STATUS_OK;
}

/* Whether the nth socket has this name. Like systemd, we call one "unknown" that has none. */
static bool has_name(const struct passed_sockets *sockets, size_t nth, const char *name) {
  const char *at = sockets->names;
  for (; at && nth > 0; nth--) {
    at = strchr(at, ':');
    if (at) at++;
  }
  if (!at) return strcmp(name, "unknown") == 0;
  size_t length = strcspn(at, ":");
  return strlen(name) == length && memcmp(at, name, length) == 0;
}

static bool has_option(int fd, int option, int wanted) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
}

/* A socket in the abstract namespace is written "@NAME", as systemd does. */
static void set_path(struct address *address, const struct sockaddr_storage *local,
                     socklen_t length) {
  const struct sockaddr_un *local_un = (const struct sockaddr_un *)local;
  size_t most = length - offsetof(struct sockaddr_un, sun_path);
  const char *path = local_un->sun_path;
  bool is_abstract = most > 0 && path[0] == '\0';
  address->kind = ADDRESS_UNIX;
  snprintf(address->host, sizeof address->host, "%s%.*s", is_abstract ? "@" : "",
           (int)(is_abstract ? most - 1 : most), is_abstract ? path + 1 : path);
}

/* Looks what kind of socket it is, and whether it can be served. */
static enum status inspect(int fd, struct address *address, const char **why) {
  struct sockaddr_storage local = {0};
  socklen_t length = sizeof local;
  *why = "a descriptor that systemd has passed is no socket";
  if (getsockname(fd, (struct sockaddr *)&local, &length) != 0) return STATUS_ERROR;
  *why = "a socket that systemd has passed is neither TCP, UDP nor a Unix stream socket";
  if (local.ss_family == AF_UNIX) {
    set_path(address, &local, length);
  } else if (local.ss_family == AF_INET || local.ss_family == AF_INET6) {
    address_numeric((const struct sockaddr *)&local, address->host, &address->port);
    address->kind = has_option(fd, SO_PROTOCOL, IPPROTO_UDP) ? ADDRESS_UDP : ADDRESS_TCP;
  } else
    return STATUS_ERROR;
  if (address->kind != ADDRESS_UDP && !has_option(fd, SO_TYPE, SOCK_STREAM)) return STATUS_ERROR;
  *why = "TLS is not for a UDP socket that systemd has passed";
  if (address->kind == ADDRESS_UDP) return address->is_tls ? STATUS_ERROR : STATUS_OK;
  *why = "a socket that systemd has passed does not listen (its unit must not have Accept=yes)";
  return has_option(fd, SO_ACCEPTCONN, 1) ? STATUS_OK : STATUS_ERROR;
}

enum status passed_sockets_take(struct passed_sockets *sockets, const char *name,
                                struct address *address, const char **why) {
  for (size_t i = 0; i < sockets->count; i++) {
    if (sockets->is_taken[i] || (*name != '\0' && !has_name(sockets, i, name))) continue;
    sockets->is_taken[i] = true;
    address->passed_fd = FIRST + (int)i;
    return inspect(address->passed_fd, address, why);
  }
  return STATUS_CLOSED;
}

size_t passed_sockets_deinit(struct passed_sockets *sockets) {
  size_t unused = 0;
  for (size_t i = 0; i < sockets->count; i++) {
    if (sockets->is_taken[i]) continue;
    socket_close(FIRST + (int)i, false);
    unused++;
  }
  free(sockets->is_taken);
  *sockets = (struct passed_sockets){0};
  return unused;
}
