/* handshakes.c: clients of a TLS server: handshakes, or connections that stay open.
 *
 *   handshakes [-r] [-2] [-c CLIENTS] [-s SECONDS | -n COUNT] PORT
 *   handshakes -i IDLE [-2] [-s SECONDS] PORT REQUEST LENGTH
 *
 * CLIENTS (8) threads connect to 127.0.0.1, shake hands, say that nothing more comes, wait until
 * the server has closed, and repeat that for SECONDS (3), or COUNT times together. With -r each
 * thread resumes the session of the handshake before, and it is an error if the server does not.
 * The first handshake does not count. Prints the handshakes per second and their number. TLS 1.3 is
 * spoken; with -2, TLS 1.2.
 *
 * With -i, IDLE connections get a response of LENGTH bytes to REQUEST, which may have the escapes
 * \n, \r and \\. Then "ready" is printed, and they stay open for SECONDS. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
  SSL_CTX *context;
  long clients;
  long seconds;
  long count; /* 0: as many as SECONDS allow. */
  long idle;
  bool resumes;
  struct sockaddr_in address;
  double end;
  atomic_long begun;
  atomic_long done;
} all = {.clients = 8, .seconds = 3};

static _Thread_local SSL_SESSION *newest; /* NULL: the thread has none. */

static void die(const char *what) {
  fprintf(stderr, "handshakes: %s\n", what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The thread owns the session from now on. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
  (void)ssl;
  SSL_SESSION_free(newest);
  newest = session;
  return 1;
}

static SSL *shake_hands(SSL_SESSION *session) {
  const int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&all.address, sizeof all.address) < 0)
    die("cannot connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SSL *ssl = SSL_new(all.context);
  if (!ssl || !SSL_set_fd(ssl, fd) || (session && !SSL_set_session(ssl, session))) die("no memory");
  if (SSL_connect(ssl) != 1) die("the handshake has failed");
  return ssl;
}

/* What comes before the end are the tickets of sessions. nginx does not answer close_notify. */
static void close_wholly(SSL *ssl) {
  char byte;
  int fd = SSL_get_fd(ssl);
  SSL_shutdown(ssl);
  while (SSL_read(ssl, &byte, 1) > 0) continue;
  while (recv(fd, &byte, 1, 0) > 0) continue;
  SSL_free(ssl);
  close(fd);
}

static void *run_client(void *argument) {
  (void)argument;
  if (all.resumes) close_wholly(shake_hands(NULL));
  while (all.count > 0 ? atomic_fetch_add(&all.begun, 1) < all.count : now() < all.end) {
    SSL *ssl = shake_hands(all.resumes ? newest : NULL);
    if (SSL_session_reused(ssl) != all.resumes) die("a session was resumed, or was not");
    close_wholly(ssl);
    atomic_fetch_add(&all.done, 1);
  }
  return NULL;
}

static void shake_many(void) {
  pthread_t *threads = calloc((size_t)all.clients, sizeof *threads);
  double start = now();
  all.end = start + (double)all.seconds;
  if (!threads) die("no memory");
  for (long i = 0; i < all.clients; i++)
    if (pthread_create(&threads[i], NULL, run_client, NULL) != 0) die("no thread");
  for (long i = 0; i < all.clients; i++) pthread_join(threads[i], NULL);
  printf("%.0f %ld\n", (double)all.done / (now() - start), (long)all.done);
}

static void hold_idle(char *request, long length) {
  char *to = request, scratch[4096];
  for (const char *from = request; *from; from++) {
    char byte = *from;
    if (byte == '\\' && from[1]) byte = *++from == 'n' ? '\n' : *from == 'r' ? '\r' : *from;
    *to++ = byte;
  }
  for (long i = 0; i < all.idle; i++) {
    SSL *ssl = shake_hands(NULL);
    if (SSL_write(ssl, request, (int)(to - request)) <= 0) die("cannot write");
    for (long left = length; left > 0;) {
      int got = SSL_read(ssl, scratch, sizeof scratch);
      if (got <= 0 || got > left) die("this is no response");
      left -= got;
    }
  }
  puts("ready");
  fflush(stdout);
  sleep((unsigned)all.seconds);
}

int main(int argc, char **argv) {
  int option, version = TLS1_3_VERSION;
  while ((option = getopt(argc, argv, "r2c:s:n:i:")) != -1) {
    if (option == 'r') all.resumes = true;
    if (option == '2') version = TLS1_2_VERSION;
    if (option == 'c') all.clients = atol(optarg);
    if (option == 's') all.seconds = atol(optarg);
    if (option == 'n') all.count = atol(optarg);
    if (option == 'i') all.idle = atol(optarg);
    if (option == '?') return 2;
  }
  if (argc - optind != (all.idle > 0 ? 3 : 1)) return 2;
  all.address = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)atoi(argv[optind])),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  all.context = SSL_CTX_new(TLS_client_method());
  if (!all.context || !SSL_CTX_set_min_proto_version(all.context, version) ||
      !SSL_CTX_set_max_proto_version(all.context, version))
    die("no TLS");
  SSL_CTX_set_mode(all.context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(all.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(all.context, keep_session);
  if (all.idle > 0)
    hold_idle(argv[optind + 1], atol(argv[optind + 2]));
  else
    shake_many();
  return 0;
}
