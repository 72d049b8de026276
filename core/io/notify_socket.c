#include "io/notify_socket.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct notify_socket {
  int fd;
  struct sockaddr_un address;
  socklen_t length;
};

static enum status fail(int error) {
  errno = error;
  return STATUS_ERROR;
}

enum status notify_socket_open(const char *address, struct notify_socket **opened) {
  size_t length = strlen(address);
  if ((*address != '/' && *address != '@') || length < 2) return fail(EINVAL);
  if (length >= sizeof((struct sockaddr_un *)0)->sun_path) return fail(ENAMETOOLONG);
  struct notify_socket *notify_socket = calloc(1, sizeof *notify_socket);
  if (!notify_socket) return STATUS_ERROR;
  notify_socket->address.sun_family = AF_UNIX;
  memcpy(notify_socket->address.sun_path, address, length);
  notify_socket->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  if (*address == '@')
    notify_socket->address.sun_path[0] = '\0'; /* The name has no end but its length. */
  else
    notify_socket->length++;
  notify_socket->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (notify_socket->fd < 0) {
    free(notify_socket);
    return STATUS_ERROR;
  }
  *opened = notify_socket;
  return STATUS_OK;
}

/* The address is named each time, because systemd may bind its socket anew. */
enum status notify_socket_send(const struct notify_socket *notify_socket, const char *text) {
  const struct sockaddr *address = (const struct sockaddr *)&notify_socket->address;
  ssize_t sent;
  do
    sent =
        sendto(notify_socket->fd, text, strlen(text), MSG_NOSIGNAL, address, notify_socket->length);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return STATUS_OK;
  return errno == EAGAIN || errno == ENOBUFS ? STATUS_AGAIN : STATUS_ERROR;
}

void notify_socket_close(struct notify_socket *notify_socket) {
  if (!notify_socket) return;
  close(notify_socket->fd);
  free(notify_socket);
}
