#include "server/opening.h"

#include <string.h>

#include "server/connection.h"

void opening_end(struct connection *connection, enum reason reason) {
  connection->listener->service->ended[reason]++;
  connection_end(connection, false);
}

void opening_refuse(struct connection *connection, const char *detail) {
  struct service *service = connection->listener->service;
  struct log_line line;
  if (log_begin_limited(&line, LOG_ERROR, "refused", &service->refusals, service->server->now)) {
    connection_log_peer(connection, &line);
    log_integer(&line, "descriptor", connection->transport.fd);
    log_text(&line, "detail", detail);
    log_end(&line);
  }
  opening_end(connection, REASON_STOPPED);
}

/* From here on the poller reports what the peer does. False: the connection has ended. */
static bool watch(struct connection *connection) {
  struct poller *poller = connection_server(connection)->poller;
  int fd = connection->transport.fd;
  switch (poller_add(poller, fd, POLLER_READ, &connection->event_handler)) {
  case STATUS_OK: break;
  case STATUS_FULL:
    opening_refuse(connection, "the poller cannot hold a descriptor of this number");
    return false;
  default: opening_refuse(connection, "the poller has no memory for it"); return false;
  }
  connection->is_unpolled = false;
  connection->interest = POLLER_READ;
  return true;
}

/* The work of a phase is done: begins the next one that the connection needs. */
static void advance(struct connection *connection) {
  switch (connection->phase) {
  case PHASE_NAMING:
    if (watch(connection)) connection_talk(connection);
    break;
  default: break;
  }
}

/* ---- PHASE_NAMING -------------------------------------------------------------------------- */

static void on_name(void *context, const char *name) {
  struct connection *connection = context;
  connection->lookup = NULL;
  if (name) connection->name = strdup(name);
  advance(connection);
}

static void begin_naming(struct connection *connection) {
  struct resolver *resolver = connection_server(connection)->resolver;
  connection->phase = PHASE_NAMING;
  if (!resolver)
    advance(connection);
  else if (resolver_lookup_start(resolver, &connection->peer.any, on_name, connection,
                                 &connection->lookup) != STATUS_OK)
    on_name(connection, NULL);
}

/* -------------------------------------------------------------------------------------------- */

void opening_begin(struct connection *connection) { begin_naming(connection); }
