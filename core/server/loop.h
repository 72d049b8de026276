/* loop.h: the structs of the server room. Private to it. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/world.h"
#include "framing/proxy.h"
#include "io/network.h"
#include "io/poller.h"
#include "io/processes.h"
#include "io/resolver.h"
#include "io/splice.h"
#include "io/tls_context.h"
#include "server/peers.h"
#include "server/service.h"
#include "session/session.h"
#include "watch/watcher.h"

/* The most bytes of one read; see docs/architecture.md, the hot path. */
enum { SCRATCH_SIZE = 64 * 1024 };

struct connection;
struct datagram;
struct datagram_inbox;
struct datagrams;
struct notify_socket;
struct peer_rates;
struct recording_writer;

struct listener {
  struct event_handler event_handler;
  struct service *service;
  struct listener *next;
  int fd;
  bool is_tls;
  bool is_paused; /* The poller does not watch it, and its backlog waits. */
  bool is_unix;
  struct datagrams *datagrams; /* NULL: it is for connections. */
  unsigned port;
  char host[ADDRESS_TEXT_MAX];
  char *path;       /* The file of a Unix socket, which is removed at the end, or NULL. */
  struct stat file; /* The identity of that file when the socket was bound. */
};

/* A reload that was requested for a service and has not begun. */
enum reload_request {
  RELOAD_REQUEST_NONE,
  RELOAD_REQUEST_CHANGED, /* The files may have changed. */
  RELOAD_REQUEST_FORCED   /* The service must be reloaded, changed or not. */
};

enum preflight_phase {
  PREFLIGHT_IDLE,    /* Nothing has to be checked. */
  PREFLIGHT_WAITING, /* From the deadline on, the provider of the service is asked once more. */
  PREFLIGHT_WANTED,  /* From the deadline on, a check begins as soon as fewer than two run. */
  PREFLIGHT_RUNNING, /* The program runs. It may do so until the deadline. */
  PREFLIGHT_OVERDUE, /* The program took too long and was killed. Its end is awaited. */
  PREFLIGHT_ENDED    /* The program ended at the deadline. The provider must be told. */
};

/* See preflight.h. */
struct preflight {
  enum preflight_phase phase;
  int64_t deadline; /* In ms; CLOCK_NEVER when idle. What it means depends on the phase. */

  /* NULL, or the program that checks. In the phases IDLE, WAITING and WANTED it is the killed
   * program of an earlier check, and is destroyed when it has ended. */
  struct child *child;
  struct event_handler output; /* Is called when the program has printed something. */
  struct event_handler exit;   /* Is called when the program has ended. */
  bool polls_output;           /* The program has not closed its output. */

  unsigned extensions; /* How often the running program was given more time. */
  int64_t used;        /* The processor time of the program at the last extension, in ms. */

  bool is_forced;   /* The server was told to reload (SIGHUP), changed or not. */
  unsigned retries; /* Failed attempts since the last preflight_request(). */
};

struct service {
  struct server *server;
  struct service *next;
  struct handler *handler;
  const struct script_provider *provider; /* NULL: the handler stays. */
  enum reload_request reload_request;
  struct preflight preflight;
  struct listener *listeners;
  struct tls_context *tls; /* For new connections; NULL: there is none. */
  size_t connections;
  size_t datagram_count;     /* Those that are not answered. */
  int64_t datagrams_full_at; /* When they were last too many; 0: never. */
  size_t max_connections;
  bool has_files; /* Responses may hold files, and each connection reserves a descriptor for one. */
  int64_t full_at; /* When max_connections was last reached; 0: never. */
  struct session_failures failures;
  struct session_hooks hooks;          /* Of all its sessions: hooks_set(). */
  struct session_hooks datagram_hooks; /* Of all its sessions for datagrams. */
  struct log_limit refusals;
  const struct cidr_list *accept_proxy; /* NULL: no peer is a proxy. */
  size_t max_connections_per_peer;      /* 0: there is no limit, and nothing is counted. */
  struct peers peers;
  struct log_limit crowds; /* Of the lines about peers with too many connections. */
  uint64_t requests;
  uint64_t reloads;        /* How often the service got a new handler. */
  uint64_t reloads_before; /* The same when SIGHUP came: see notify.c. */
  uint64_t ended[REASON_COUNT];
  char name[64];
};

/* See idle.h. */
struct idle {
  enum { IDLE_OFF, IDLE_SCHEDULED, IDLE_RUNNING } phase;
  struct timer timer;     /* Expires when idle work begins. */
  int64_t rest_until;     /* Idle work does not begin before this time. */
  double spent;           /* The seconds that the running idle work has taken. */
  unsigned useless_count; /* How often in a row idle work was useless. */
  bool has_worked;        /* Handlers have worked since idle work began. */
  bool is_useful;         /* A service was able to do useful work this time. */
};

/* See notify.h. */
struct notify {
  struct notify_socket *socket; /* NULL: nobody wants to hear. */
  int64_t period;               /* The ms between two signs of life; 0: none are wanted. */
  struct timer watchdog;        /* Expires when the next sign of life is due. */
  struct timer retry;           /* Expires when `state` is sent again. */
  bool is_reloading;            /* Systemd was told of a reload, and not of its end. */
  bool has_failed;              /* The last message could not be sent. */
  char state[1024];             /* The message about the last change of state. */
};

struct server {
  struct poller *poller;
  struct resolver *resolver;                 /* NULL: names of peers are not looked up. */
  struct io_network *network;                /* Of the world. */
  struct io_processes *processes;            /* Of the world. */
  struct watcher *watcher;                   /* NULL: files are not watched. */
  struct recording_writer *recording_writer; /* NULL: conversations are not recorded. */
  struct event_handler changes;              /* The poller event of the watcher. */
  size_t watched_files;                      /* How many files the watcher has. */
  int64_t next_watch;          /* The set of watched files does not change before this time. */
  bool watches;                /* Services are reloaded when their files change. */
  bool is_asked_to_reload;     /* SIGHUP has come: every service is reloaded, changed or not. */
  struct service *compiling;   /* The service that has returned RELOAD_COMPILING, or NULL. */
  int wake_fd;                 /* The event that server_wake() signals. */
  struct event_handler wakeup; /* The poller event of wake_fd. */
  bool is_woken;               /* The event has come, and reloads_run() has not seen it yet. */
  struct world *world;         /* The timers and the run queue. */
  struct idle idle;
  struct notify notify;
  struct timer retry; /* Expires when accepting is tried again after it ran out of descriptors. */
  int64_t drain_timeout; /* ms; 0: no limit. */
  struct timer drain;    /* Expires when the time for draining is over. */
  struct service *services;
  struct connection *connections;     /* All live connections. */
  struct connection *ended;           /* Connections that are freed at the end of the turn. */
  struct connection *next_to_migrate; /* See migrate.h; NULL: none is left. */
  struct datagram *datagrams;         /* All that are not answered. */
  struct datagram *spare_datagrams;   /* For the next ones. */
  size_t spare_datagram_count;
  struct recorded_sender *recorded_senders; /* See recorded_senders.h. */
  struct peer_rates *peer_rates;            /* NULL: each peer may send any number of datagrams. */
  struct datagram_inbox *inbox; /* Of all listeners for datagrams; NULL: there are none. */
  size_t connection_count;
  bool has_room_again;       /* A descriptor came free in this turn: paused listeners may go on. */
  size_t max_connections;    /* Descriptors for connections and for the files of their responses. */
  size_t more_files;         /* Open files of responses, beyond the first of each connection. */
  struct splice_pipes pipes; /* Of all tunnels. */
  struct held_strings held;  /* The held strings of all responses. */
  size_t buffered;           /* Bytes in memory of all connections, without recordings. */
  size_t max_buffered;       /* SIZE_MAX: no limit. */
  int keepalive;             /* Seconds; 0: TCP keep-alive is off. */
  int64_t now;               /* When the turn began, or as of the last server_update_clock(). */
  struct event_handler signals; /* The poller event of signal_fd. */
  int signal_fd;
  bool is_stopping; /* The process was asked to stop. */
  bool is_draining;
  bool drain_is_over;               /* The requests in hand are cut off. */
  int64_t full_at;                  /* When the descriptors last ran out; 0: never. */
  char peer_host[ADDRESS_TEXT_MAX]; /* The host of the peer that was identified last. */
  struct proxy_header proxy_header; /* What a proxy has sent of it, and the host that it had
                                       connected to. */
  char proxy_host[ADDRESS_TEXT_MAX];
  char *tls_text;             /* What was last told of a connection with TLS; or NULL. */
  char scratch[SCRATCH_SIZE]; /* Input is read into this. */
};

/* Reads the coarse clock after a call that may have taken long, so that time limits count from when
 * something happens. */
static inline void server_update_clock(struct server *server) {
  int64_t now = clock_coarse_milliseconds();
  if (now > server->now) server->now = now;
}

#endif
