#include "server/tunnel.h"

#include <stdlib.h>

#include "base/channel.h"
#include "io/splice.h"
#include "server/connection_internal.h"
#include "server/transfer.h"
#include "session/tunnel.h"

/* Bytes that go one way in a turn. */
enum { TURN_BUDGET = 1024 * 1024 };

struct tunnel {
  struct channel_user user;
  struct connection *connection;
  struct session_joint *joint;
  struct splice_way from_peer;
  struct splice_way to_peer;
};

static struct tunnel *of_user(struct channel_user *user) {
  return (struct tunnel *)((char *)user - offsetof(struct tunnel, user));
}

/* ---- bytes --------------------------------------------------------------------------------- */

static enum status move(struct tunnel *tunnel, struct splice_way *way, int from, int to,
                        uint64_t *count) {
  struct server *server = connection_server(tunnel->connection);
  size_t moved = 0;
  enum status status = splice_move(way, &server->pipes, from, to, TURN_BUDGET, &moved);
  *count += moved;
  if (moved > 0) session_note_tunneled(tunnel->connection->session, server->now);
  return status;
}

/* False: one of the two is broken, and the session is aborted. */
static bool move_from_peer(struct tunnel *tunnel, int channel_fd) {
  struct session_joint *joint = tunnel->joint;
  enum status status = move(tunnel, &tunnel->from_peer, tunnel->connection->transport.fd,
                            channel_fd, &joint->from_peer);
  if (tunnel->from_peer.has_ended) tunnel->connection->peer_ended = true;
  if (status == STATUS_CLOSED && !joint->has_passed_peer_end) {
    joint->has_passed_peer_end = true;
    joint->channel->class->shutdown(joint->channel);
  }
  return status != STATUS_ERROR;
}

static bool move_to_peer(struct tunnel *tunnel, int channel_fd) {
  struct session_joint *joint = tunnel->joint;
  struct session *session = tunnel->connection->session;
  uint64_t before = joint->to_peer;
  enum status status =
      move(tunnel, &tunnel->to_peer, channel_fd, tunnel->connection->transport.fd, &joint->to_peer);
  int64_t now = connection_server(tunnel->connection)->now;
  if (joint->to_peer > before) session_delivered(session, now);
  session_note_blocked(session, tunnel->to_peer.is_blocked, now);
  if (status == STATUS_CLOSED && !joint->has_passed_channel_end) {
    joint->has_passed_channel_end = true;
    session_end_sending(session);
  }
  return status != STATUS_ERROR;
}

/* ---- events -------------------------------------------------------------------------------- */

static void watch_channel(struct tunnel *tunnel) {
  struct channel *channel = tunnel->joint->channel;
  bool reads = !tunnel->to_peer.has_ended && !tunnel->to_peer.is_blocked;
  bool writes = tunnel->from_peer.is_blocked;
  channel->class->watch(channel, (reads ? CHANNEL_READ : 0U) | (writes ? CHANNEL_WRITE : 0U));
}

unsigned tunnel_interest(const struct connection *connection) {
  const struct tunnel *tunnel = connection->tunnel;
  bool reads = !tunnel->from_peer.has_ended && !tunnel->from_peer.is_blocked;
  bool writes = tunnel->to_peer.is_blocked;
  return (reads ? POLLER_READ : 0u) | (writes ? POLLER_WRITE : 0u);
}

static void go_on(struct tunnel *tunnel, bool from_peer, bool to_peer) {
  struct connection *connection = tunnel->connection;
  const struct session_joint *joint = tunnel->joint;
  int fd = splice_descriptor(joint->channel);
  bool is_whole = fd >= 0 && (!from_peer || move_from_peer(tunnel, fd)) &&
                  (!to_peer || move_to_peer(tunnel, fd));
  if (!is_whole) {
    transfer_abort(connection, REASON_PEER_RESET);
    return;
  }
  watch_channel(tunnel);
  if (joint->has_passed_peer_end && joint->has_passed_channel_end)
    session_tunnel_progress(connection->session);
}

void tunnel_take(struct connection *connection, unsigned events) {
  go_on(connection->tunnel, (events & POLLER_READ) != 0, (events & POLLER_WRITE) != 0);
}

static void on_ready(struct channel_user *user, unsigned events) {
  struct tunnel *tunnel = of_user(user);
  struct connection *connection = tunnel->connection;
  go_on(tunnel, (events & CHANNEL_WRITE) != 0, (events & CHANNEL_READ) != 0);
  connection_settle(connection);
}

/* ---- life ---------------------------------------------------------------------------------- */

bool tunnel_join(struct session_owner *owner, struct session_joint *joint) {
  struct connection *connection = connection_of_owner(owner);
  if (connection->recording || connection->transport.tls) return false;
  if (splice_descriptor(joint->channel) < 0) return false;
  struct tunnel *tunnel = calloc(1, sizeof *tunnel);
  if (!tunnel) return false;
  tunnel->user.on_ready = on_ready;
  tunnel->connection = connection;
  tunnel->joint = joint;
  tunnel->from_peer.has_ended = joint->has_passed_peer_end;
  tunnel->to_peer.has_ended = joint->has_passed_channel_end;
  joint->channel->user = &tunnel->user;
  connection->tunnel = tunnel;
  watch_channel(tunnel);
  return true;
}

void tunnel_part(struct session_owner *owner) {
  struct connection *connection = connection_of_owner(owner);
  struct server *server = connection_server(connection);
  struct tunnel *tunnel = connection->tunnel;
  tunnel->joint->channel->user = NULL;
  splice_end(&tunnel->from_peer, &server->pipes);
  splice_end(&tunnel->to_peer, &server->pipes);
  connection->tunnel = NULL;
  free(tunnel);
}
