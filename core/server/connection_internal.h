/* connection_internal.h: the inside of a connection, shared by the files that make it up:
 * opening.c (its beginning), connection.c (its life), transfer.c (its bytes) and what they use.
 * Private to these. */
#ifndef SERVER_CONNECTION_INTERNAL_H
#define SERVER_CONNECTION_INTERNAL_H

#include "io/address.h"
#include "io/transport.h"
#include "server/loop.h"
#include "server/recording.h"
#include "session/session.h"

/* In the order in which a connection goes through them; it leaves out what it does not need. */
enum phase {
  PHASE_PROXIED,   /* The header of the PROXY protocol is awaited. */
  PHASE_NAMING,    /* The name of the peer is looked up. */
  PHASE_HANDSHAKE, /* TLS begins; again, if a session asks for security. */
  PHASE_TALKING,   /* The session runs. */
  /* The sending side is shut down, and what the peer still sends is thrown away: closing a socket
   * with unread bytes would reset the connection, and the peer could lose the response. */
  PHASE_LINGERING,
  PHASE_ENDED
};

struct connection {
  struct event_handler event_handler; /* The first member: its address is the connection's. */
  struct session_owner owner;
  struct session *session; /* NULL before PHASE_TALKING, unless it waits for its security. */
  struct listener *listener;
  struct connection *next;
  struct connection *previous;
  struct timer timer;
  struct ready turn; /* Is in the run queue when the session has more to do in a later turn. */
  struct resolver_lookup *lookup;
  struct proxied *proxied;     /* NULL, or the bytes of a header: see proxied.h. */
  struct tunnel *tunnel;       /* NULL: the session takes and gives the bytes. */
  char *name;                  /* NULL if it was not looked up, or if there is none. */
  struct recording *recording; /* NULL if the connection is not recorded. */
  size_t buffered;             /* Its share of the sum in server->buffered. */
  size_t unacknowledged;       /* Bytes that the peer had not taken at the last check. */
  union {
    int64_t time_left;    /* For the handshake, in ms; 0: all of request_timeout. */
    int64_t delivered_at; /* While lingering: when the peer last took some of them. */
  };
  struct transport transport;
  unsigned interest : 8;
  enum phase phase : 8;
  bool peer_ended : 1;
  bool is_cut : 1;      /* Output was dropped: a reset shows the peer that it is not complete. */
  bool has_sent : 1;    /* At least one byte was sent. */
  bool is_slow : 1;     /* While lingering: some bytes were not taken at the last check. */
  bool is_shut : 1;     /* The sending side was shut down, while the session goes on. */
  bool is_unpolled : 1; /* The poller does not have the socket: see peer_watch.c. */
  bool is_counted : 1;  /* Its peer has one more in service->peers. */
  bool only_sends : 1;  /* Its turn in the run queue is for output alone. */
  uint32_t more_files;  /* Open files of its responses, less one. */
  union peer_address peer;
};

static inline struct server *connection_server(const struct connection *connection) {
  return connection->listener->service->server;
}

static inline struct connection *connection_of_owner(struct session_owner *owner) {
  return (struct connection *)((char *)owner - offsetof(struct connection, owner));
}

/* After anything has happened to the session: sends, and does what the new state asks for. May end
 * the connection. */
void connection_settle(struct connection *connection);

/* The phases before are over: the session begins. May end the connection. */
void connection_talk(struct connection *connection);

/* The socket is closed now. The memory is freed at the end of the turn: until then an event of the
 * turn may still name the connection. */
void connection_end(struct connection *connection, bool reset);

/* Ends the sending side, and the connection when the peer has done so, or `time` ms later. */
void connection_linger(struct connection *connection, int64_t time);

/* Who the peer is, for a line of the log. */
void connection_log_peer(const struct connection *connection, struct log_line *line);

/* server->buffered is the sum over all connections. */
static inline void connection_count_buffered(struct connection *connection, size_t buffered) {
  struct server *server = connection_server(connection);
  server->buffered += buffered - connection->buffered;
  connection->buffered = buffered;
}

static inline void connection_queue_turn(struct connection *connection) {
  connection->only_sends = false;
  ready_add(&connection_server(connection)->world->ready, &connection->turn);
}

#endif
