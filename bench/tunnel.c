/* tunnel.c: both ends of connections through a proxy.
 *
 *   tunnel [-s SECONDS] [-c CONNECTIONS] PORT FAR_PORT
 *
 * Listens on 127.0.0.1:FAR_PORT, where the proxy on PORT is to lead. Each of CONNECTIONS (8) clients
 * sends and receives as much as it can for SECONDS (3), and so does the other end. Prints "ready"
 * when all are connected; and at the end the number of bytes that have arrived, both ways together.
 * Its connections stay open for another second, in which the proxy can be looked at. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, PIECE = 64 * 1024, CONNECTIONS_MAX = 1000 };

static char piece[PIECE];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int listen_on(const char *port) {
  const int on = 1;
  struct sockaddr_in address = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) die("socket");
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1024) < 0)
    die("listen");
  return fd;
}

static int connect_to(const char *port) {
  struct sockaddr_in address = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  return fd;
}

/* A client says a byte, so that a connection which the proxy has made for somebody else is told from
 * its own. */
static int accept_from(int listener) {
  char byte;
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) die("accept");
    if (recv(fd, &byte, 1, 0) == 1) return fd;
    close(fd);
  }
}

static void watch(int poller, int fd) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void send_some(int fd) {
  if (send(fd, piece, sizeof piece, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) die("send");
}

/* The kernel drops the bytes without copying them. */
static uint64_t receive_some(int fd) {
  ssize_t got = recv(fd, piece, 16 * sizeof piece, MSG_TRUNC | MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN)) die("recv");
  return got > 0 ? (uint64_t)got : 0;
}

int main(int argc, char **argv) {
  int option, connections = 8;
  double seconds = 3;
  while ((option = getopt(argc, argv, "s:c:")) != -1) {
    if (option == 's') seconds = atof(optarg);
    if (option == 'c') connections = atoi(optarg);
  }
  if (argc - optind != 2 || connections < 1 || connections > CONNECTIONS_MAX) return 2;
  int poller = epoll_create1(EPOLL_CLOEXEC), listener = listen_on(argv[optind + 1]);
  for (int i = 0; i < connections; i++) {
    int client = connect_to(argv[optind]);
    if (send(client, "x", 1, MSG_NOSIGNAL) != 1) die("send");
    watch(poller, client);
    watch(poller, accept_from(listener));
  }
  printf("ready\n");
  fflush(stdout);
  uint64_t bytes = 0;
  for (double end = now() + seconds; now() < end;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poller, events, EVENTS, 100);
    for (int i = 0; i < count; i++) {
      if (events[i].events & (EPOLLERR | EPOLLHUP)) die("a connection has ended");
      if (events[i].events & EPOLLIN) bytes += receive_some(events[i].data.fd);
      if (events[i].events & EPOLLOUT) send_some(events[i].data.fd);
    }
  }
  printf("%llu\n", (unsigned long long)bytes);
  fflush(stdout);
  sleep(1);
  return 0;
}
