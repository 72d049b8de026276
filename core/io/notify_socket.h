/* notify_socket.h: the socket on which systemd hears about the state of a service: sd_notify(3).
 *
 * A message is a datagram of lines NAME=VALUE. */
#ifndef IO_NOTIFY_SOCKET_H
#define IO_NOTIFY_SOCKET_H

#include "base/status.h"

struct notify_socket;

/* Makes a socket that sends to the address, which is that of NOTIFY_SOCKET: a path that begins with
 * "/", or "@" and an abstract name. STATUS_ERROR: errno says why (EINVAL: it is no such address).
 */
enum status notify_socket_open(const char *address, struct notify_socket **opened);

/* Sends the text. STATUS_AGAIN: systemd must read first. STATUS_ERROR: errno says why. */
enum status notify_socket_send(const struct notify_socket *notify_socket, const char *text);

/* Closes and frees. NULL is ignored. */
void notify_socket_close(struct notify_socket *notify_socket);

#endif
