#include "server/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/socket.h"
#include "server/connection.h"
#include "server/datagrams.h"

enum {
  BACKLOG = 4096,    /* Connections in a backlog. net.core.somaxconn may allow fewer. */
  REST_TIME = 500,   /* The most ms for accepting the backlogs when the server stops. */
  BATCH = 64,        /* The most connections that one listener accepts in a turn. */
  RETRY_TIME = 1000, /* When no descriptor is left, accepting is tried again after so many ms. */
  QUIET_TIME = 60000 /* "full" is logged again if the last time was so many ms ago. */
};

static void pause_listener(struct listener *listener) {
  if (listener->is_paused) return;
  poller_change(listener->service->server->poller, listener->fd, POLLER_NONE);
  listener->is_paused = true;
}

static bool service_is_full(const struct service *service) {
  return service->max_connections > 0 && service->connections >= service->max_connections;
}

/* A response must not fail because slow peers hold the descriptors of their files. So each
 * connection of a service that sends files counts as two descriptors. */
static bool server_is_full(const struct server *server) {
  size_t descriptors = server->more_files + io_network_descriptors(server->network) +
                       io_processes_descriptors(server->processes);
  for (const struct service *service = server->services; service; service = service->next)
    descriptors += service->connections * (service->has_files ? 2 : 1);
  return descriptors >= server->max_connections;
}

/* Whether to log that the server is full: not again within QUIET_TIME. Sets *last to now. */
static bool should_log_full(int64_t *last, int64_t now) {
  bool is_first = *last == 0 || now - *last > QUIET_TIME;
  *last = now;
  return is_first;
}

static void log_full(const struct service *service, size_t connections, const char *detail) {
  struct log_line line;
  if (!log_begin(&line, LOG_WARN, "full")) return;
  log_text(&line, "service", service->name);
  log_integer(&line, "connections", (int64_t)connections);
  log_text(&line, "detail", detail);
  log_end(&line);
}

/* Whether there is room for one more connection. If not, logs it and pauses the listener. */
static bool has_room(struct listener *listener) {
  struct service *service = listener->service;
  struct server *server = service->server;
  if (service_is_full(service)) {
    if (should_log_full(&service->full_at, server->now))
      log_full(service, service->connections,
               "max_connections is reached; others wait until one ends");
  } else if (server_is_full(server)) {
    if (should_log_full(&server->full_at, server->now))
      log_full(service, server->connection_count,
               "the descriptor limit is reached; others wait until a connection ends");
  } else
    return true;
  pause_listener(listener);
  return false;
}

/* accept() found no free descriptor. Scripts open files too, which server_is_full() does not count.
 */
static void pause_for_descriptors(struct listener *listener) {
  struct server *server = listener->service->server;
  if (should_log_full(&server->full_at, server->now))
    log_full(listener->service, server->connection_count,
             "no descriptor is left to accept with; others wait until a connection ends");
  pause_listener(listener);
  timer_set(&server->world->timers, &server->retry, server->now + RETRY_TIME);
}

static void log_accept_error(const struct listener *listener) {
  struct log_line line;
  struct service *service = listener->service;
  if (!log_begin_limited(&line, LOG_ERROR, "accept_failed", &service->refusals,
                         service->server->now))
    return;
  log_text(&line, "service", service->name);
  log_text(&line, "detail", strerror(errno));
  log_end(&line);
}

/* Accepts one connection. False: the backlog is empty, there is no room, or accepting failed. */
static bool accept_one(struct listener *listener) {
  int fd;
  struct sockaddr_storage peer;
  if (listener->fd < 0 || !has_room(listener)) return false;
  switch (socket_accept(listener->fd, &fd, &peer)) {
  case STATUS_OK: connection_open(listener, fd, (const struct sockaddr *)&peer); return true;
  case STATUS_AGAIN: return false;
  case STATUS_FULL: pause_for_descriptors(listener); return false;
  default: log_accept_error(listener); return false;
  }
}

static void on_event(struct event_handler *event_handler, unsigned events) {
  (void)events;
  for (int i = 0; i < BATCH && accept_one((struct listener *)event_handler); i++) continue;
}

void listener_accept_rest(struct service *service) {
  int64_t patience = clock_coarse_milliseconds() + REST_TIME;
  for (struct listener *listener = service->listeners; listener; listener = listener->next)
    if (listener->datagrams)
      datagrams_take_rest(listener, patience);
    else
      while (clock_coarse_milliseconds() < patience && accept_one(listener)) continue;
}

void listener_resume(struct server *server) {
  server->has_room_again = false;
  if (server->is_draining || server_is_full(server)) return;
  for (struct service *service = server->services; service; service = service->next) {
    if (service_is_full(service)) continue;
    for (struct listener *listener = service->listeners; listener; listener = listener->next) {
      if (!listener->is_paused) continue;
      poller_change(server->poller, listener->fd, POLLER_READ);
      listener->is_paused = false;
    }
  }
}

static void log_listening(const struct listener *listener) {
  struct log_line line;
  char text[ADDRESS_TEXT_MAX], whole[ADDRESS_TEXT_MAX + 4];
  if (!log_begin(&line, LOG_INFO, "listening")) return;
  log_text(&line, "service", listener->service->name);
  if (listener->is_unix)
    snprintf(text, sizeof text, "%s", listener->host);
  else
    address_format(listener->host, listener->port, text);
  const char *scheme = listener->is_tls ? "tls:" : listener->datagrams ? "udp:" : "";
  snprintf(whole, sizeof whole, "%s%s", scheme, text);
  log_text(&line, "address", whole);
  log_text(&line, "poller", poller_name(listener->service->server->poller));
  log_end(&line);
}

/* Keeps what is needed to remove the file at the end. */
static enum status keep_path(struct listener *listener, const char *path) {
  listener->path = strdup(path);
  if (!listener->path || stat(path, &listener->file) != 0) return STATUS_NO_MEMORY;
  return STATUS_OK;
}

static enum status adopt(struct service *service, const struct address *address, int fd) {
  struct listener *listener = calloc(1, sizeof *listener);
  struct sockaddr_storage local;
  if (!listener) return STATUS_NO_MEMORY;
  listener->event_handler.on_event = on_event;
  listener->service = service;
  listener->fd = fd;
  listener->is_tls = address->is_tls;
  enum status status = socket_local_address(fd, &local);
  listener->is_unix = address->kind == ADDRESS_UNIX;
  if (status == STATUS_OK && address->kind == ADDRESS_UNIX) {
    snprintf(listener->host, sizeof listener->host, "unix:%.120s", address->host);
    if (!address->passed_fd) status = keep_path(listener, address->host);
  } else if (status == STATUS_OK)
    address_numeric((const struct sockaddr *)&local, listener->host, &listener->port);
  if (status == STATUS_OK && address->kind == ADDRESS_UDP) status = datagrams_init(listener);
  if (status == STATUS_OK)
    status = poller_add(service->server->poller, fd, POLLER_READ, &listener->event_handler);
  if (status != STATUS_OK) {
    datagrams_deinit(listener);
    free(listener->path);
    free(listener);
    return status;
  }
  struct listener **end = &service->listeners;
  while (*end) end = &(*end)->next;
  *end = listener;
  if (!listener->is_unix && !listener->datagrams && service->server->keepalive > 0)
    (void)socket_keep_alive(fd, service->server->keepalive); /* It can serve without, too. */
  log_listening(listener);
  return STATUS_OK;
}

enum status listener_open(struct service *service, const struct address *address,
                          const struct socket_access *access, const char **why) {
  int fds[SOCKET_LISTEN_MAX] = {address->passed_fd};
  size_t count = 1;
  enum status status = STATUS_OK;
  if (!address->passed_fd) status = socket_listen(address, access, BACKLOG, fds, &count, why);
  if (status != STATUS_OK) return status;
  for (size_t i = 0; i < count; i++) {
    if (status == STATUS_OK) {
      status = adopt(service, address, fds[i]);
      if (status == STATUS_OK) continue;
      *why = "the server cannot hold the listener";
    }
    socket_close(fds[i], false);
  }
  return status;
}

/* Removes the Unix socket, unless another server has put its own socket at this path. */
static void remove_socket(const struct listener *listener) {
  struct stat now;
  if (stat(listener->path, &now) == 0 && now.st_ino == listener->file.st_ino &&
      now.st_dev == listener->file.st_dev)
    socket_remove_file(listener->path);
}

void listener_close_all(struct service *service) {
  for (struct listener *listener = service->listeners; listener; listener = listener->next) {
    if (listener->fd < 0 || (listener->datagrams && datagrams_are_in_hand(service->server)))
      continue;
    poller_remove(service->server->poller, listener->fd);
    socket_close(listener->fd, false);
    listener->fd = -1;
    if (listener->path) remove_socket(listener);
  }
}
