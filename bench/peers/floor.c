/* floor.c: what the protocol of length_sep_body costs in bare C: the floor for every other server.
 *
 *   floor PORT
 *
 * One epoll loop; a length, a line feed, a body; the answer is the body. No limits, no time-outs,
 * no errors to speak of: it does as little as can be done. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, SIZE = 64 * 1024 };

struct connection {
  int fd;
  size_t kept; /* of an unfinished request, in rest */
  char *rest;
};

static char input[2 * SIZE], output[2 * SIZE];

/* Answers every whole request in input[0..length); returns the bytes that they took. */
static size_t answer(size_t length, size_t *answered) {
  size_t at = 0;
  *answered = 0;
  while (at < length) {
    size_t body = 0, i = at;
    while (i < length && input[i] != '\n') body = body * 10 + (size_t)(input[i++] - '0');
    if (i == length || length - i - 1 < body) break;
    memcpy(output + *answered, input + i + 1, body);
    *answered += body;
    at = i + 1 + body;
  }
  return at;
}

static void end(struct connection *connection) {
  close(connection->fd);
  free(connection->rest);
  free(connection);
}

static void serve(struct connection *connection) {
  size_t kept = connection->kept, answered;
  if (kept) memcpy(input, connection->rest, kept);
  ssize_t got = recv(connection->fd, input + kept, SIZE, 0);
  if (got <= 0) {
    end(connection);
    return;
  }
  size_t length = kept + (size_t)got;
  size_t taken = answer(length, &answered);
  connection->kept = length - taken;
  if (connection->kept) {
    if (!connection->rest) connection->rest = malloc(SIZE);
    memcpy(connection->rest, input + taken, connection->kept);
  }
  if (answered && send(connection->fd, output, answered, MSG_NOSIGNAL) < 0) end(connection);
}

static void accept_all(int poller, int listener) {
  const int on = 1;
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct connection *connection = calloc(1, sizeof *connection);
    connection->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  }
}

int main(int argc, char **argv) {
  const int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "8888"));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
      listen(listener, 4096) < 0) {
    perror("floor");
    return 1;
  }
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr)
        serve(events[i].data.ptr);
      else
        accept_all(poller, listener);
    }
  }
}
