#include "server/proxied.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct proxied {
  size_t length;
  char bytes[]; /* Of the header, and none behind it. */
};

static struct span kept_bytes(const struct connection *connection) {
  const struct proxied *proxied = connection->proxied;
  return proxied ? (struct span){proxied->bytes, proxied->length} : (struct span){0};
}

/* Moves so many bytes, which are there, from the socket behind those that are kept. */
static bool keep(struct connection *connection, size_t length) {
  size_t before = kept_bytes(connection).length;
  size_t got;
  struct proxied *grown = realloc(connection->proxied, sizeof *grown + before + length);
  if (!grown) return false;
  connection->proxied = grown;
  grown->length = before;
  if (socket_read(connection->transport.fd, grown->bytes + before, length, &got) == STATUS_OK)
    grown->length += got;
  return true;
}

static void take_client(struct connection *connection, const struct proxy_header *header) {
  if (header->family == PROXY_UNIX)
    connection->peer = (union peer_address){.any.sa_family = AF_UNIX};
  else
    address_set_ip(&connection->peer, header->source.ip, header->family == PROXY_IPV6,
                   header->source.port);
}

/* ---- the log ------------------------------------------------------------------------------- */

static void log_failure(const struct connection *connection, enum reason reason, struct span bytes,
                        const char *detail) {
  struct service *service = connection->listener->service;
  struct log_line line;
  if (!log_begin_limited(&line, LOG_WARN, reason_name(reason), &service->failures.of_peers,
                         service->server->now))
    return;
  connection_log_peer(connection, &line);
  size_t most = log_shown_bytes(), shown = bytes.length < most ? bytes.length : most;
  log_integer(&line, "buffered", (int64_t)bytes.length);
  if (shown > 0) {
    log_hex(&line, "hex", bytes.data, shown);
    log_bytes(&line, "text", bytes.data, shown);
  }
  char text[128];
  snprintf(text, sizeof text, "PROXY header: %s", detail);
  log_text(&line, "detail", text);
  log_end(&line);
}

void proxied_log_timeout(const struct connection *connection) {
  log_failure(connection, REASON_REQUEST_TIMEOUT, kept_bytes(connection),
              "it did not come in time");
}

/* A proxy that closes before its first byte has only looked whether the server is there. */
static enum proxied_result refuse_end(struct connection *connection, enum status status) {
  struct span bytes = kept_bytes(connection);
  struct log_line line;
  if (bytes.length > 0) {
    log_failure(connection, REASON_MALFORMED, bytes, "the peer has closed within it");
  } else if (log_begin(&line, LOG_DEBUG, "closed")) {
    connection_log_peer(connection, &line);
    log_text(&line, "reason",
             reason_name(status == STATUS_CLOSED ? REASON_PEER_CLOSED : REASON_PEER_RESET));
    log_text(&line, "detail", "before its PROXY header");
    log_end(&line);
  }
  return PROXIED_GONE;
}

/* -------------------------------------------------------------------------------------------- */

enum proxied_result proxied_read(struct connection *connection) {
  char *scratch = connection_server(connection)->scratch;
  struct span bytes = kept_bytes(connection);
  struct proxy_header header;
  size_t got;
  if (bytes.length > 0) memcpy(scratch, bytes.data, bytes.length);
  enum status status = socket_peek(connection->transport.fd, scratch + bytes.length,
                                   PROXY_HEADER_MAX - bytes.length, &got);
  if (status == STATUS_AGAIN) return PROXIED_WAITS;
  if (status != STATUS_OK) return refuse_end(connection, status);
  proxy_decode(scratch, bytes.length + got, &header);
  switch (header.verdict) {
  case PROXY_PARTIAL: return keep(connection, got) ? PROXIED_WAITS : PROXIED_NO_MEMORY;
  case PROXY_MALFORMED:
    log_failure(connection, REASON_MALFORMED, (struct span){scratch, bytes.length + got},
                header.why);
    return PROXIED_REFUSED;
  default: break;
  }
  if (!keep(connection, header.length - bytes.length)) return PROXIED_NO_MEMORY;
  if (header.family == PROXY_NO_ADDRESS) return PROXIED_NOBODY;
  take_client(connection, &header);
  return PROXIED_CLIENT;
}

void proxied_identify(const struct connection *connection, struct session_identity *identity) {
  struct server *server = connection_server(connection);
  struct span bytes = kept_bytes(connection);
  struct proxy_header *header = &server->proxy_header;
  proxy_decode(bytes.data, bytes.length, header);
  if (header->verdict != PROXY_COMPLETE) return;
  identity->proxy = header;
  if (header->family == PROXY_NO_ADDRESS) return;
  union peer_address destination;
  identity->server_host = server->proxy_host;
  if (header->family == PROXY_UNIX) {
    snprintf(server->proxy_host, sizeof server->proxy_host, "unix:%.*s",
             (int)header->destination.path.length, header->destination.path.data);
    identity->server_port = 0;
  } else {
    address_set_ip(&destination, header->destination.ip, header->family == PROXY_IPV6,
                   header->destination.port);
    address_numeric(&destination.any, server->proxy_host, &identity->server_port);
  }
}
