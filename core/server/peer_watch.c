#include "server/peer_watch.h"

#include "base/clock.h"
#include "server/connection_internal.h"
#include "server/transfer.h"
#include "session/tunnel.h"

enum { LOOK_TIME = 1000 /* ms between two looks. */ };

/* Whether reading or writing will tell that the peer is gone. */
static bool is_polled(const struct connection *connection) {
  return (connection->interest & (POLLER_READ | POLLER_WRITE)) != 0;
}

static bool must_look(const struct connection *connection) {
  return session_peer(connection->session) != SESSION_PEER_IS_READ &&
         !poller_reports_ends(connection_server(connection)->poller);
}

/* When both sides of a socket were shut down, epoll reports that at every wait, wanted or not. Such
 * a socket is taken out of the poller until it is wanted. */
static void stop_polling(struct connection *connection) {
  poller_remove(connection_server(connection)->poller, connection->transport.fd);
  connection->interest = POLLER_NONE;
  connection->is_unpolled = true;
}

void peer_watch_poll(struct connection *connection, unsigned interest) {
  struct poller *poller = connection_server(connection)->poller;
  struct session *session = connection->session;
  if (session && session_peer(session) == SESSION_PEER_MUST_SEND) interest |= POLLER_END;
  if (interest == connection->interest) return;
  enum status status =
      connection->is_unpolled
          ? poller_add(poller, connection->transport.fd, interest, &connection->event_handler)
          : poller_change(poller, connection->transport.fd, interest);
  if (status != STATUS_OK) return;
  connection->is_unpolled = false;
  connection->interest = interest & 0xff;
}

int64_t peer_watch_deadline(const struct connection *connection) {
  return must_look(connection) ? connection_server(connection)->now + LOOK_TIME : CLOCK_NEVER;
}

static void lose_peer(struct connection *connection) {
  if (session_peer(connection->session) != SESSION_PEER_MUST_SEND) return;
  connection->peer_ended = true;
  transfer_abort(connection, REASON_PEER_CLOSED);
}

/* What the peer of a tunnel has sent is passed on, also when it has closed its socket meanwhile. A
 * TCP peer that does so cannot be told from one that has stopped sending; a Unix peer can. */
static bool is_heard_out(const struct connection *connection, enum socket_peer peer) {
  return peer == SOCKET_PEER_GONE && session_has_tunnel(connection->session);
}

void peer_watch_take(struct connection *connection, unsigned events) {
  bool is_gone = (events & POLLER_GONE) && !is_polled(connection);
  if (is_gone &&
      (connection->is_shut || is_heard_out(connection, socket_peer(connection->transport.fd))))
    stop_polling(connection);
  else if (is_gone)
    transfer_abort(connection, REASON_PEER_RESET);
  else if ((events & POLLER_END) && !(events & POLLER_GONE))
    lose_peer(connection);
}

void peer_watch_look(struct connection *connection) {
  if (connection->is_shut || (!must_look(connection) && is_polled(connection))) return;
  enum socket_peer peer = socket_peer(connection->transport.fd);
  if (peer >= SOCKET_PEER_GONE && !is_heard_out(connection, peer))
    transfer_abort(connection, REASON_PEER_RESET);
  if (peer == SOCKET_PEER_ENDED) lose_peer(connection);
}
