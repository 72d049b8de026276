/* systemd.h: what systemd tells the process in its environment. It is taken out of the environment,
 * so that programs that scripts run do not believe that it is for them. */
#ifndef CLI_SYSTEMD_H
#define CLI_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>

#include "io/notify_socket.h"
#include "io/passed_sockets.h"

struct systemd {
  struct notify_socket *notify_socket; /* NULL: the service need not tell its state. */
  int64_t watchdog; /* The ms in which the service must give a sign of life; 0: it need not. */
  struct passed_sockets sockets;
  char *socket_names; /* The value of LISTEN_FDNAMES, or NULL. */
};

/* Reads the environment. False: there is a mistake, which was reported. */
bool systemd_init(struct systemd *systemd);

/* Makes one list of the addresses in which each "systemd:NAME" is replaced by the sockets of this
 * name. *list belongs to the caller, who frees it. False: a socket is missing or cannot be served,
 * which was reported. */
bool systemd_find_sockets(struct systemd *systemd, const struct address *addresses, size_t count,
                          struct address **list, size_t *list_count);

/* Closes the sockets that no address has named, and logs how many those are. */
void systemd_close_rest(struct systemd *systemd);

void systemd_deinit(struct systemd *systemd);

#endif
