#include "server/transfer.h"

#include <assert.h>
#include <errno.h>

enum {
  SPANS = 16,                    /* Spans that one system call sends. */
  TURN_BUDGET = 4 * 1024 * 1024, /* Bytes that a connection may send in a turn. */
  TURN_TIME = 20,                /* The most ms that it may send in a turn, if a script is slow. */
  DRAIN_READS = 16,              /* The most reads in a turn while the server is stopping. */
  CATCH_UP_READS = 16,           /* The most reads before a limit of time ends a session. */
  CHECKS = 4                     /* Checks of the delivery in a write_timeout. */
};

void transfer_abort(struct connection *connection, enum reason reason) {
  if (connection->recording) recording_look(&connection->recording, connection->session);
  session_abort(connection->session, reason, connection_server(connection)->now);
}

/* ---- delivery ------------------------------------------------------------------------------ */

/* Written bytes may lie in the kernel's buffer for long: a socket becomes writable again only when
 * a large part of the buffer is free. Until then the number of unacknowledged bytes is the only
 * sign of the peer's progress. When no output waits, the number at the last check may be from
 * before the last write, so any change counts. */
void transfer_check_delivery(struct connection *connection) {
  size_t before = connection->unacknowledged;
  size_t left = connection->unacknowledged = transport_unacknowledged(&connection->transport);
  bool has_output = connection->tunnel || session_has_output(connection->session);
  bool takes = has_output ? left < before : left > 0 && left != before;
  if (takes) session_delivered(connection->session, connection_server(connection)->now);
}

int64_t transfer_next_check(const struct connection *connection) {
  const struct service *service = connection->listener->service;
  int64_t deadline = session_deadline(connection->session);
  int64_t timeout = service->handler->limits.write_timeout;
  if (timeout <= 0) return deadline; /* Nothing depends on the progress. */
  int64_t check = service->server->now + timeout / CHECKS + 1;
  return check < deadline ? check : deadline;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* The errors of reading a file. All others of socket_send_file() are the peer's. */
static bool is_file_error(int error) {
  return error == EIO || error == EINVAL || error == EISDIR || error == EBADF || error == ENXIO ||
         error == EOVERFLOW || error == ESTALE || error == ENOMEM;
}

/* Sends the next spans or the next part of a file. STATUS_AGAIN: the peer takes no more for now.
 * STATUS_OK: everything was sent, or the session has failed or has been aborted. */
static enum status send_next(struct connection *connection, size_t *budget) {
  struct session *session = connection->session;
  int64_t now = connection_server(connection)->now;
  struct span spans[SPANS];
  struct session_output output;
  size_t sent = 0, wanted = 0;
  enum status status;
  session_output(session, spans, SPANS, &output);
  if (output.count > 0) {
    for (size_t i = 0; i < output.count; i++) wanted += spans[i].length;
    status = transport_write(&connection->transport, spans, output.count, output.more, &sent);
  } else {
    assert(output.file >= 0); /* session_has_output() is false if a stream is next. */
    int64_t offset = output.offset;
    wanted = output.file_length < *budget ? output.file_length : *budget;
    status = transport_send_file(&connection->transport, output.file, &offset, wanted, &sent);
  }
  if (status == STATUS_OK) {
    connection->has_sent = true;
    if (connection->recording) recording_sends(&connection->recording, spans, &output, sent);
    session_sent(session, sent, now);
    *budget -= sent < *budget ? sent : *budget;
    return sent < wanted ? STATUS_AGAIN : STATUS_OK;
  }
  if (status == STATUS_AGAIN) return status;
  /* STATUS_CLOSED: the file has ended before as many bytes as its length were sent. */
  if (output.count == 0 && (status == STATUS_CLOSED || is_file_error(errno)))
    session_file_failed(session, now);
  else
    transfer_abort(connection, REASON_PEER_RESET);
  return STATUS_OK;
}

bool transfer_send(struct connection *connection) {
  struct session *session = connection->session;
  size_t budget = TURN_BUDGET;
  int64_t started = 0;
  if (transport_is_blocked(&connection->transport) &&
      transport_flush(&connection->transport) == STATUS_ERROR)
    transfer_abort(connection, REASON_PEER_RESET);
  while (session_has_output(session) && budget > 0) {
    enum status status = send_next(connection, &budget);
    if (session_wants_turn(session)) break;
    /* Buffered requests are answered before more is read, also when the peer takes no more. After
     * an abort this does nothing. */
    session_resume(session, connection_server(connection)->now);
    if (status != STATUS_OK) break;
    if (!session_has_output(session)) break; /* The usual case does not read the clock. */
    server_update_clock(connection_server(connection));
    if (started == 0) started = connection_server(connection)->now;
    if (connection_server(connection)->now - started >= TURN_TIME) return true;
  }
  if (connection->recording) recording_settles(connection->recording, session);
  return session_wants_turn(session);
}

void transfer_shutdown(struct connection *connection) {
  if (connection->is_shut || session_has_output(connection->session)) return;
  connection->is_shut = true;
  transport_shutdown_write(&connection->transport);
}

/* ---- receiving ----------------------------------------------------------------------------- */

enum status transfer_receive(struct connection *connection) {
  struct server *server = connection_server(connection);
  struct session *session = connection->session;
  struct span space;
  size_t length;
  if (!session_space(session, &space))
    space = (struct span){server->scratch, sizeof server->scratch};
  else if (space.length > sizeof server->scratch)
    space.length = sizeof server->scratch;
  enum status status =
      transport_read(&connection->transport, (char *)space.data, space.length, &length);
  if (status == STATUS_OK) {
    space.length = length;
    if (connection->recording) recording_receives(&connection->recording, session, space);
    session_receive(session, space.data, length, server->now);
  } else if (status == STATUS_CLOSED) {
    connection->peer_ended = true;
    bool is_unwanted = session_peer(session) == SESSION_PEER_MUST_SEND;
    if (connection->recording) recording_receives_end(&connection->recording, session);
    if (is_unwanted)
      transfer_abort(connection, REASON_PEER_CLOSED);
    else
      session_receive_end(session, server->now);
  } else if (status != STATUS_AGAIN)
    transfer_abort(connection, REASON_PEER_RESET);
  return status;
}

bool transfer_drain(struct connection *connection) {
  struct session *session = connection->session;
  bool has_more = false;
  for (int reads = 0; reads < DRAIN_READS && session_wants_input(session); reads++) {
    if (transfer_receive(connection) == STATUS_AGAIN)
      session_drain(session, connection_server(connection)->now);
    has_more = transfer_send(connection);
    if (session_finished(session)) break;
  }
  return has_more;
}

void transfer_catch_up(struct connection *connection) {
  struct server *server = connection_server(connection);
  struct session *session = connection->session;
  for (int reads = 0; reads < CATCH_UP_READS; reads++) {
    if (session_deadline(session) > server->now || !session_wants_input(session)) break;
    if (transfer_receive(connection) != STATUS_OK) break;
  }
  if (session_deadline(session) <= server->now && session_has_output(session))
    (void)transfer_send(connection);
}
