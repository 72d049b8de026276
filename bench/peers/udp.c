/* udp.c: an echo of datagrams in bare C: the floor for every other server.
 *
 *   udp PORT
 *
 * One epoll loop; up to 32 datagrams are received with one system call, and sent back with one. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BATCH = 32, SIZE = 64 * 1024 };

static char bytes[BATCH][SIZE];

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  struct sockaddr_in peers[BATCH];
  struct iovec places[BATCH];
  struct mmsghdr messages[BATCH];
  address.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "8888"));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror("udp");
    return 1;
  }
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  for (;;) {
    if (epoll_wait(poller, &event, 1, -1) != 1) continue;
    for (int i = 0; i < BATCH; i++) {
      places[i] = (struct iovec){bytes[i], SIZE};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                            .msg_namelen = sizeof peers[i],
                                            .msg_iov = &places[i],
                                            .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) places[i].iov_len = messages[i].msg_len;
    if (count > 0) sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT);
  }
}
