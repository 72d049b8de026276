/* service.h: what a service is made of: its addresses, and the provider of its handlers. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"
#include "base/span.h"
#include "base/status.h"
#include "io/address.h"
#include "io/child.h"
#include "io/cidr.h"
#include "io/socket.h"
#include "io/tls_context.h"
#include "session/handler.h"

/* How the program ended that checks a new version. */
struct check_end {
  const char *why;  /* NULL, or why there is no result: the other fields have no meaning then. */
  int status;       /* The exit status of the program. */
  struct span text; /* What the program has printed. */
};

/* Where the handlers of a service come from. `is_forced` asks for a new version even if no file has
 * changed. `now` is in ms. */
struct script_provider {
  void *context;

  /* Makes a new version if the files have changed, and gives its handler to server_set_handler().
   * Called between two turns of the loop, if `check` is NULL. After RELOAD_COMPILING it is called
   * again after each server_wake(), until it returns another outcome. */
  enum reload_outcome (*reload)(void *context, bool is_forced, int64_t now);

  /* NULL, or the program that checks a new version, in a process of its own, before it is loaded.
   * Then the two functions below are called instead of reload(). */
  const struct child_command *check;
  int64_t check_time; /* The ms after which a check is killed; more on a busy machine. */

  /* Tells whether there are changes to check: RELOAD_UNCHECKED begins a check. */
  enum reload_outcome (*find_changes)(void *context, bool is_forced, int64_t now);

  /* Like reload(), when a check has ended. After RELOAD_COMPILING it is called again with the same
   * `end`. */
  enum reload_outcome (*reload_checked)(void *context, bool is_forced, const struct check_end *end,
                                        int64_t now);

  /* NULL, or a function that does idle work for less than a ms. It is called after the handlers
   * have worked, in turns that have nothing else to do, and never from within a call of a session.
   */
  enum idle_work (*work_when_idle)(void *context);

  /* Tell how many files must be watched, and call `visit` for each of them. */
  size_t (*count_files)(void *context);
  void (*each_file)(void *context, void (*visit)(void *visitor, const char *path), void *visitor);

  /* NULL, or calls `visit` for each setting of the script, for --record. */
  void (*each_setting)(void *context,
                       void (*visit)(void *visitor, struct span name, struct span value),
                       void *visitor);
};

struct service_options {
  const char *name;                       /* The log shows it. */
  struct handler *handler;                /* It must outlive the server, or get a successor. */
  const struct script_provider *provider; /* NULL: the handler stays. It must outlive the server. */
  const struct address *addresses;        /* The addresses to listen on. */
  size_t address_count;
  struct socket_access access; /* Of those that are Unix sockets. */
  struct tls_context *tls; /* NULL: no address is of TLS. The service takes its own reference. */
  size_t max_connections;  /* 0: the service has no limit of its own. */
  size_t max_connections_per_peer;      /* 0: no limit. */
  const struct cidr_list *accept_proxy; /* The peers that must send a header of the PROXY protocol
                                           first; NULL: none. It must outlive the server. */
};

#endif
