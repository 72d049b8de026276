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

#include "base/span.h"
#include "base/status.h"
#include "io/address.h"
#include "io/child.h"
#include "session/handler.h"

struct server;

struct server_options {
  const char *poller;      /* "epoll" or "select" */
  size_t max_connections;  /* of all services: what the descriptors allow */
  size_t max_buffered;     /* bytes of unfinished requests and unsent output; 0: no limit */
  int keepalive;           /* s without a word before a TCP peer is asked for a sign; 0: never */
  bool resolve_names;      /* look up the names of peers */
  const char *name_server; /* "host:port" to ask for them, or NULL for the system's */
  bool watches;            /* renew a service when its files change; else only at SIGHUP */
  const char *record;      /* the folder that conversations are written to, or NULL */
};

enum service_renewal {
  RENEWAL_NONE,    /* nothing new */
  RENEWAL_REFUSED, /* there is something new, and it is no good */
  RENEWAL_DONE,    /* server_renew() was called */
  RENEWAL_LATER,   /* nothing new yet: look again soon */
  RENEWAL_CHECK,   /* there is something new, which is to be checked first; */
  RENEWAL_CHECKING /* and so there was when this was last said */
};

/* What the program has come to that checks what is new. */
struct service_finding {
  const char *why;  /* it came to no end, and this is why; NULL: */
  int status;       /* it returned this, */
  struct span text; /* and printed this */
};

/* The result of a step of idle work. */
enum service_idle_work {
  IDLE_WORK_LEFT,   /* There is more to do. */
  IDLE_WORK_USEFUL, /* All is done, and it was worth its time. */
  IDLE_WORK_USELESS /* All is done, and it was hardly worth its time. */
};

/* Where the handlers of a service come from. */
struct script_provider {
  void *context;

  /* Looks whether there is something new, or takes it for new if forced. Called between two turns
   * of the loop. If it takes long, it should call server_let_others() now and then. */
  enum service_renewal (*renew)(void *context, bool is_forced, int64_t now);

  /* NULL, or the program that checks what is new, in a process of its own. Then renew() does not
   * call server_renew() but answers RENEWAL_CHECK, and judge() is called when the program has ended
   * and what it has looked at is still what there is, as far as is known. */
  const struct child_command *check;
  int64_t check_time; /* ms: it is ended if it takes longer */
  enum service_renewal (*judge)(void *context, bool is_forced,
                                const struct service_finding *finding, int64_t now);

  /* NULL, or runs what the handlers have to do at the time that server_set_due() was told of.
   * Called within a turn, and not from within a call of a session. */
  void (*run_due)(void *context, int64_t now);

  /* NULL, or does idle work for less than a ms. Called after the handlers have worked, in turns
   * that have nothing else to do, and never from within a call of a session. */
  enum service_idle_work (*work_when_idle)(void *context);

  /* The files to be watched: how many there are, and each of them. */
  size_t (*count_files)(void *context);
  void (*each_file)(void *context, void (*visit)(void *visitor, const char *path), void *visitor);
};

struct service_options {
  const char *name;                       /* for the log */
  struct handler *handler;                /* must outlive the server, unless it gets a successor */
  const struct script_provider *provider; /* NULL: the handler stays. Must outlive the server */
  const struct address *addresses;        /* where to listen */
  size_t address_count;
  size_t max_connections; /* 0: no limit of its own */
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

/* The nth service has this handler from now on: connections that come get it at once, and those
 * that there are move as handler.h says: those that are between two requests in slices, from the
 * end of this turn of the loop on, and the others when they have finished what they have in hand.
 * The successor of the old handler must have been set; if it had no conversations, it is not used
 * any more. Not from within a call of a session of that service. */
void server_renew(struct server *server, size_t nth, struct handler *handler);

/* The nth service has something to do at that time, in ms, and nothing before; CLOCK_NEVER:
 * nothing at all. May be called from anywhere. */
void server_set_due(struct server *server, size_t nth, int64_t when);

/* Lets all others go on in the middle of a renewal that takes long: a turn of the loop that does
 * not wait, and renews nothing. False: they did not, since they had much longer than the renewal
 * has had since. Only from within renew() or judge() of a provider. */
bool server_let_others(struct server *server);

/* Serves until SIGTERM or SIGINT and then drains. STATUS_ERROR: the loop itself failed. */
enum status server_run(struct server *server);

/* Ends all connections and frees. */
void server_destroy(struct server *server);

#endif
