/* load.c: a load generator for any protocol of fixed requests and responses of a known length.
 *
 *   load [-u] [-c CONNECTIONS] [-p DEPTH] [-s SECONDS | -n BATCHES] [-i IDLE] PORT REQUEST
 * RESPONSE_LENGTH
 *
 * Each of CONNECTIONS (50) sends DEPTH (1) copies of REQUEST at once to 127.0.0.1, waits for all
 * responses, and repeats that for SECONDS (3), or until all connections together have sent BATCHES
 * times DEPTH requests. REQUEST may have the escapes \n, \r and \\. IDLE further connections get
 * one response first, and then stay open. Prints "requests per second" and the number of requests.
 * With -u the connections are sockets of UDP, a request is a datagram, and DEPTH is 1. A datagram
 * that is lost is not sent again. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, READ_SIZE = 256 * 1024 };

struct settings {
  long connections;
  long depth;
  long seconds;
  long batches; /* The batches of all connections; 0: as many as SECONDS allow. */
  long idle;
  bool is_udp;
  uint16_t port;
  char *batch; /* DEPTH requests. */
  size_t batch_length;
  size_t request_length;
  size_t response_length;
};

struct peer {
  int fd;
  size_t unsent;   /* Bytes of the batch that are not sent yet. */
  size_t expected; /* Bytes of responses that have not come yet. */
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int connect_to(uint16_t port, bool is_udp) {
  const int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  if (!is_udp) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void send_batch(const struct settings *settings, struct peer *peer) {
  while (peer->unsent > 0) {
    const char *rest = settings->batch + settings->batch_length - peer->unsent;
    ssize_t sent = send(peer->fd, rest, peer->unsent, MSG_NOSIGNAL);
    if (sent < 0) die("send");
    peer->unsent -= (size_t)sent;
  }
}

static void begin_batch(const struct settings *settings, struct peer *peer) {
  peer->unsent = settings->batch_length;
  peer->expected = settings->response_length * (size_t)settings->depth;
  send_batch(settings, peer);
}

static void receive(struct peer *peer) {
  static char scratch[READ_SIZE];
  ssize_t got = recv(peer->fd, scratch, sizeof scratch, 0);
  if (got < 0) die("recv");
  if (got == 0 || (size_t)got > peer->expected) {
    fputs("load: the server closed, or answered more than was asked\n", stderr);
    exit(1);
  }
  peer->expected -= (size_t)got;
}

static void hold_idle(const struct settings *settings) {
  for (long i = 0; i < settings->idle; i++) {
    struct peer peer = {connect_to(settings->port, settings->is_udp), settings->request_length,
                        settings->response_length};
    peer.unsent = 0;
    if (send(peer.fd, settings->batch, settings->request_length, MSG_NOSIGNAL) < 0) die("send");
    while (peer.expected > 0) receive(&peer);
  }
}

static uint64_t run(const struct settings *settings, struct peer *peers) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) die("epoll_create1");
  for (long i = 0; i < settings->connections; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
    peers[i].fd = connect_to(settings->port, settings->is_udp);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, peers[i].fd, &event) < 0) die("epoll_ctl");
  }
  uint64_t batches = 0, begun = 0,
           most = settings->batches ? (uint64_t)settings->batches : UINT64_MAX;
  for (long i = 0; i < settings->connections && begun < most; i++, begun++)
    begin_batch(settings, &peers[i]);
  double end = now() + (double)settings->seconds;
  while (settings->batches ? batches < most : now() < end) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, 100);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct peer *peer = events[i].data.ptr;
      receive(peer);
      if (peer->expected > 0) continue;
      batches++;
      if (begun == most) continue;
      begun++;
      begin_batch(settings, peer);
    }
  }
  return batches * (uint64_t)settings->depth;
}

static char *unescape(const char *text, size_t *length) {
  char *bytes = malloc(strlen(text) + 1);
  if (!bytes) die("malloc");
  *length = 0;
  for (; *text; text++) {
    char byte = *text;
    if (byte == '\\' && text[1]) byte = *++text == 'n' ? '\n' : *text == 'r' ? '\r' : *text;
    bytes[(*length)++] = byte;
  }
  return bytes;
}

static long positive(const char *text) {
  char *end;
  long number = strtol(text, &end, 10);
  if (*end || number < 0) {
    fprintf(stderr, "load: %s is no number\n", text);
    exit(2);
  }
  return number;
}

int main(int argc, char **argv) {
  struct settings settings = {.connections = 50, .depth = 1, .seconds = 3};
  int option;
  while ((option = getopt(argc, argv, "uc:p:s:n:i:")) != -1) {
    if (option == 'c')
      settings.connections = positive(optarg);
    else if (option == 'p')
      settings.depth = positive(optarg);
    else if (option == 's')
      settings.seconds = positive(optarg);
    else if (option == 'n')
      settings.batches = positive(optarg);
    else if (option == 'i')
      settings.idle = positive(optarg);
    else if (option == 'u')
      settings.is_udp = true;
    else
      return 2;
  }
  if (argc - optind != 3 || settings.depth < 1 || (settings.is_udp && settings.depth > 1)) {
    fputs("usage: load [-u] [-c CONNECTIONS] [-p DEPTH] [-s SECONDS | -n BATCHES] [-i IDLE] "
          "PORT REQUEST LENGTH\n",
          stderr);
    return 2;
  }
  settings.port = (uint16_t)positive(argv[optind]);
  char *request = unescape(argv[optind + 1], &settings.request_length);
  settings.response_length = (size_t)positive(argv[optind + 2]);
  settings.batch_length = settings.request_length * (size_t)settings.depth;
  settings.batch = malloc(settings.batch_length + 1);
  struct peer *peers = calloc((size_t)settings.connections + 1, sizeof *peers);
  if (!settings.batch || !peers) die("malloc");
  for (long i = 0; i < settings.depth; i++)
    memcpy(settings.batch + (size_t)i * settings.request_length, request, settings.request_length);
  hold_idle(&settings);
  double start = now();
  uint64_t requests = run(&settings, peers);
  printf("%.0f %llu\n", (double)requests / (now() - start), (unsigned long long)requests);
  return 0;
}
