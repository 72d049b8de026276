/* loop.h: the inside of a server, shared by its parts. Private to the server room. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "io/event_handler.h"
#include "io/poller.h"
#include "io/resolver.h"
#include "server/preflight.h"
#include "server/ready.h"
#include "server/server.h"
#include "session/session.h"
#include "watch/watcher.h"

/* How much is read at once; see docs/architecture.md, the hot path. */
enum { SCRATCH_SIZE = 64 * 1024 };

struct connection;
struct recorder;

struct listener {
  struct event_handler event_handler;
  struct service *service;
  struct listener *next;
  int fd;
  bool is_paused; /* not watched: its backlog waits */
  unsigned port;
  char host[ADDRESS_TEXT_MAX];
  char *path;       /* of a Unix socket, to be removed at the end; else NULL */
  struct stat file; /* what stood there when we had bound it */
};

struct service {
  struct server *server;
  struct service *next;
  struct handler *handler;
  const struct script_provider *provider; /* or NULL */
  struct timer due; /* when provider->run_due() is called; always set, if only to CLOCK_NEVER */
  struct preflight preflight;
  struct listener *listeners;
  size_t connections;
  size_t max_connections;
  bool has_files;  /* its responses may hold files: each connection has a descriptor in reserve */
  int64_t full_at; /* when that was last so; 0: never */
  struct session_failures failures;
  struct log_limit refusals;
  uint64_t requests;
  uint64_t renewals; /* how often it got a new handler */
  uint64_t ended[REASON_COUNT];
  char name[64];
};

/* See idle.h. */
struct idle {
  struct timer timer; /* when it begins */
  int64_t rest_until;
  double spent;     /* seconds, in the one that is under way */
  unsigned in_vain; /* so often in a row it was hardly worth it */
  bool is_expected; /* the timer is set, or it is under way */
  bool is_on;       /* it is under way */
  bool has_worked;  /* handlers have worked since it began */
  bool is_fruitful;
};

struct server {
  struct poller *poller;
  struct resolver *resolver;    /* NULL: names are not looked up */
  struct watcher *watcher;      /* NULL: files are not watched */
  struct recorder *recorder;    /* NULL: conversations are not recorded */
  struct event_handler changes; /* what the watcher has to tell */
  size_t watched_files;
  int64_t next_watch;     /* not before then are other files watched */
  bool watches;           /* files are to be watched */
  bool is_asked_to_renew; /* every service, changed or not */
  double others_ended;    /* when others last went on within a renewal, in seconds, */
  double others_took;     /* and how long that took */
  struct timer_heap timers;
  struct idle idle;
  struct ready_queue ready; /* conversations that have had their share of a turn, and go on */
  struct timer retry;       /* when accepting stopped for want of descriptors */
  struct timer drain;       /* when draining has taken long enough */
  struct service *services;
  struct connection *connections; /* all that live */
  struct connection *ended;       /* to be freed at the end of the turn */
  struct connection *to_move;     /* the next one to be looked at, see sweep.h; NULL: all were */
  size_t connection_count;
  size_t max_connections;   /* descriptors for them and for the files of their responses */
  size_t more_files;        /* that responses have open beyond one for each connection */
  struct held_strings held; /* of all responses */
  size_t buffered;          /* bytes of all connections in memory, but for the recorded ones */
  size_t max_buffered;      /* SIZE_MAX: no limit */
  int keepalive;            /* s; 0: none */
  int64_t now;              /* when the turn began, or when a call into a script last came back:
                               server_update_clock() */
  struct event_handler signals;
  int signal_fd;
  bool is_stopping; /* asked to stop */
  bool is_draining;
  bool drain_is_over;               /* what is in hand still is cut off */
  int64_t full_at;                  /* when no descriptor was left for the last time; 0: never */
  char peer_host[ADDRESS_TEXT_MAX]; /* of the peer that was identified last */
  char scratch[SCRATCH_SIZE];
};

/* Reads the clock again after what may have taken long, so that limits of time count from when
 * something happens. It is the coarse one, which costs little and may be a tick behind. */
static inline void server_update_clock(struct server *server) {
  int64_t now = clock_coarse_milliseconds();
  if (now > server->now) server->now = now;
}

#endif
