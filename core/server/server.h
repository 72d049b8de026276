/* server.h: services on their listeners, and the loop that runs them.
 *
 * A service joins listeners to a handler; what the handler does with a conversation is left to it.
 * One turn of the loop: wait, dispatch what is ready, expire what is due, free what has ended.
 * Nothing that an event may still name is freed before the end of the turn.
 *
 * Not thread-safe; one server in a process, because it takes the process's signals. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/world.h"
#include "io/address.h"
#include "server/service.h"

struct notify_socket;
struct server;

struct server_options {
  struct world *world;    /* the timers and the run queue, shared with the scripts; outlives them */
  const char *poller;     /* "epoll" or "select" */
  size_t max_connections; /* of all services: what the descriptors allow */
  size_t max_buffered;    /* bytes of unfinished requests and unsent output; 0: no limit */
  int64_t drain_timeout;  /* ms for the requests in hand when the server stops; 0: no limit */
  int keepalive;          /* s without a word before a TCP peer is asked for a sign; 0: never */
  size_t max_datagrams_per_peer; /* in a second; 0: any number */
  bool resolve_names;            /* look up the names of peers */
  const char *name_server;       /* "host:port" to ask for them, or NULL for the system's */
  bool watches;                  /* reload a service when its files change; else only at SIGHUP */
  char *const *environment;      /* of programs that scripts run: "NAME=VALUE" strings, and NULL */
  struct notify_socket *notify_socket; /* of systemd, or NULL; it must outlive the server */
  int64_t watchdog;   /* ms in which systemd wants a sign of life; 0: it wants none */
  const char *record; /* the folder that conversations are written to, or NULL */
};

/* Whether conversations can be written to the folder; one that is not there is made. False: errno
 * says why. */
bool server_can_record(const char *folder);

/* On failure *why is a static phrase and errno tells the rest. */
enum status server_create(const struct server_options *options, struct server **created,
                          const char **why);

/* Listens, and logs each address. On failure *failed is the address that could not be had. */
enum status server_add_service(struct server *server, const struct service_options *options,
                               const struct address **failed, const char **why);

/* The port that the first listener of the nth service has, for a person; 0 for a Unix socket. */
unsigned server_port(const struct server *server, size_t nth);

/* From now on the nth service has this handler. New connections get it at once. Connections between
 * two requests migrate to it in slices, at the end of each turn of the loop from now on. The others
 * migrate when they have finished their request. The successor of the old handler must have been
 * set; an old handler without sessions is not used any more. Not to be called from within a call of
 * a session of that service. */
void server_set_handler(struct server *server, size_t nth, struct handler *handler);

/* From now on new handshakes of the nth service have this context, of which the service takes a
 * reference. */
void server_set_tls(struct server *server, size_t nth, struct tls_context *tls);

/* Continues a reload that has returned RELOAD_COMPILING: the loop calls its provider again. The
 * thread that compiles calls this when it has finished, and the provider calls it itself while
 * bytecode is left to load. May be called on any thread. */
void server_wake(struct server *server);

/* Serves until SIGTERM or SIGINT and then drains. STATUS_ERROR: the loop itself failed. */
enum status server_run(struct server *server);

/* Ends all connections and frees. */
void server_destroy(struct server *server);

#endif
