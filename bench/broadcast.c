/* broadcast.c: subscribers and a publisher, who speak as Redis does.
 *
 *   broadcast [-s SECONDS | -n MESSAGES] PORT SUBSCRIBERS
 *
 * SUBSCRIBERS connections to 127.0.0.1 subscribe to a channel. One more publishes a message of 32
 * bytes, waits until all have it, and repeats that for SECONDS (3), or MESSAGES times. Prints "ready"
 * when all have subscribed; and at the end the deliveries per second and their number. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD "0123456789abcdef0123456789abcdef"
static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n";
static const char subscribed[] = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
static const char publish[] = "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$32\r\n" PAYLOAD "\r\n";
static const char message[] = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$32\r\n" PAYLOAD "\r\n";

enum { EVENTS = 512 };

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int connect_to(uint16_t port) {
  const int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void send_all(int fd, const char *bytes, size_t length) {
  if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) die("send");
}

static void receive_all(int fd, const char *expected, size_t length) {
  char bytes[256];
  if (recv(fd, bytes, length, MSG_WAITALL) != (ssize_t)length) die("recv");
  if (expected && memcmp(bytes, expected, length) != 0) die("another reply");
}

/* Receives until all subscribers together have had this many bytes. */
static void receive_messages(int poller, size_t left) {
  struct epoll_event events[EVENTS];
  char bytes[4096];
  while (left > 0) {
    int count = epoll_wait(poller, events, EVENTS, 10000);
    if (count <= 0) die("a message is missing");
    for (int i = 0; i < count; i++) {
      ssize_t got = recv(events[i].data.fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got <= 0) die("recv");
      left -= (size_t)got;
    }
  }
}

int main(int argc, char **argv) {
  long seconds = 3, messages = 0, sent = 0;
  int option;
  while ((option = getopt(argc, argv, "s:n:")) > 0) {
    if (option == 's') seconds = atol(optarg);
    if (option == 'n') messages = atol(optarg);
  }
  if (argc - optind != 2) return 2;
  uint16_t port = (uint16_t)atol(argv[optind]);
  long subscribers = atol(argv[optind + 1]);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  int poller = epoll_create1(EPOLL_CLOEXEC);
  for (long i = 0; i < subscribers; i++) {
    int fd = connect_to(port);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    send_all(fd, subscribe, sizeof subscribe - 1);
    receive_all(fd, subscribed, sizeof subscribed - 1);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
  }
  int publisher = connect_to(port);
  char reply[32];
  int length = snprintf(reply, sizeof reply, ":%ld\r\n", subscribers);
  puts("ready");
  fflush(stdout);
  double start = now();
  while (messages > 0 ? sent < messages : now() - start < (double)seconds) {
    send_all(publisher, publish, sizeof publish - 1);
    receive_all(publisher, reply, (size_t)length);
    receive_messages(poller, (sizeof message - 1) * (size_t)subscribers);
    sent++;
  }
  printf("%.0f %ld\n", (double)(sent * subscribers) / (now() - start), sent * subscribers);
  return 0;
}
