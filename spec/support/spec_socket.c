/* spec_socket.c: the functions of io/socket.h on plain descriptors, and further system calls for
 * specs. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/address.h"
#include "io/socket.h"
#include "spec_module.h"

static int check_fd(lua_State *L, int index) { return (int)luaL_checkinteger(L, index); }

static int push_fd(lua_State *L, int fd) {
  if (fd < 0) return spec_failure(L, STATUS_ERROR);
  lua_pushinteger(L, fd);
  return 1;
}

static int push_address(lua_State *L, const struct sockaddr_storage *address) {
  char host[ADDRESS_TEXT_MAX];
  unsigned port;
  address_numeric((const struct sockaddr *)address, host, &port);
  lua_pushstring(L, host);
  lua_pushinteger(L, port);
  return 2;
}

/* --- the functions of socket.h --- */

/* io.listen(address [, backlog]) -> a list of descriptors, or nil, why, errno's name */
static int listen_on(lua_State *L) {
  const char *text = luaL_checkstring(L, 1);
  int backlog = (int)luaL_optinteger(L, 2, 16);
  struct address address;
  const char *why = "?";
  if (address_parse(text, &address, &why) != STATUS_OK) return luaL_argerror(L, 1, why);
  lua_createtable(L, SOCKET_LISTEN_MAX, 0);
  int fds[SOCKET_LISTEN_MAX];
  size_t count;
  if (socket_listen(&address, &(struct socket_access){0}, backlog, fds, &count, &why) !=
      STATUS_OK) {
    const char *error = strerrorname_np(errno);
    lua_pushnil(L);
    lua_pushstring(L, why);
    lua_pushstring(L, error);
    return 3;
  }
  for (size_t i = 0; i < count; i++) {
    lua_pushinteger(L, fds[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int local_address(lua_State *L) {
  struct sockaddr_storage address;
  enum status status = socket_local_address(check_fd(L, 1), &address);
  return status == STATUS_OK ? push_address(L, &address) : spec_failure(L, status);
}

/* io.accept(listener) -> descriptor, peer's host, peer's port */
static int accept_from(lua_State *L) {
  struct sockaddr_storage peer;
  int fd;
  enum status status = socket_accept(check_fd(L, 1), &fd, &peer);
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_pushinteger(L, fd);
  return 1 + push_address(L, &peer);
}

static int read_from(lua_State *L) {
  int fd = check_fd(L, 1);
  lua_Integer capacity = luaL_optinteger(L, 2, 65536);
  luaL_argcheck(L, capacity > 0, 2, "out of range");
  char *into = lua_newuserdatauv(L, (size_t)capacity, 0);
  size_t length;
  enum status status = socket_read(fd, into, (size_t)capacity, &length);
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_pushlstring(L, into, length);
  return 1;
}

/* io.write(fd, list of strings [, more]) -> the number of bytes sent */
static int write_to(lua_State *L) {
  int fd = check_fd(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  size_t count = (size_t)lua_rawlen(L, 2);
  struct span *spans = lua_newuserdatauv(L, (count + 1) * sizeof *spans, 0);
  for (size_t i = 0; i < count; i++) { /* the list keeps the strings alive */
    luaL_argcheck(L, lua_rawgeti(L, 2, (lua_Integer)i + 1) == LUA_TSTRING, 2, "not all strings");
    spans[i].data = lua_tolstring(L, -1, &spans[i].length);
    lua_pop(L, 1);
  }
  size_t sent;
  enum status status = socket_write(fd, spans, count, lua_toboolean(L, 3), &sent);
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_pushinteger(L, (lua_Integer)sent);
  return 1;
}

/* io.send_file(fd, file, offset, length) -> the number of bytes sent, the new offset */
static int send_file(lua_State *L) {
  int fd = check_fd(L, 1);
  int file = check_fd(L, 2);
  int64_t offset = luaL_checkinteger(L, 3);
  size_t sent;
  enum status status = socket_send_file(fd, file, &offset, (size_t)luaL_checkinteger(L, 4), &sent);
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_pushinteger(L, (lua_Integer)sent);
  lua_pushinteger(L, offset);
  return 2;
}

static int keep_alive(lua_State *L) {
  return spec_outcome(L, socket_keep_alive(check_fd(L, 1), (int)luaL_checkinteger(L, 2)));
}

static int remove_file(lua_State *L) {
  socket_remove_file(luaL_checkstring(L, 1));
  return 0;
}

static int unacknowledged(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)socket_unacknowledged(check_fd(L, 1)));
  return 1;
}

static int shutdown_write(lua_State *L) {
  socket_shutdown_write(check_fd(L, 1));
  return 0;
}

/* io.close(fd [, reset]) */
static int close_socket(lua_State *L) {
  socket_close(check_fd(L, 1), lua_toboolean(L, 2));
  return 0;
}

/* --- further system calls --- */

static int push_two(lua_State *L, const int fds[2]) {
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}

/* io.pair() -> two ends of a Unix stream */
static int open_pair(lua_State *L) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
    return spec_failure(L, STATUS_ERROR);
  return push_two(L, fds);
}

/* io.pipe() -> the end to read from, the end to write to */
static int open_pipe(lua_State *L) {
  int fds[2];
  if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) return spec_failure(L, STATUS_ERROR);
  return push_two(L, fds);
}

/* Connects within 5 s; the socket is non-blocking afterwards. */
static int connect_to(lua_State *L, const void *address, socklen_t length) {
  const struct timeval deadline = {.tv_sec = 5};
  const struct sockaddr *generic = address;
  int fd = socket(generic->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return spec_failure(L, STATUS_ERROR);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
  if (connect(fd, generic, length) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
    return push_fd(L, fd);
  int error = errno;
  close(fd);
  errno = error;
  return spec_failure(L, STATUS_ERROR);
}

/* io.connect(port [, family]) -> a descriptor, connected over the loopback of "ipv4" or "ipv6" */
static int connect_loopback(lua_State *L) {
  in_port_t port = htons((uint16_t)luaL_checkinteger(L, 1));
  const struct sockaddr_in in = {
      .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct sockaddr_in6 in6 = {
      .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  if (strcmp(luaL_optstring(L, 2, "ipv4"), "ipv6") == 0) return connect_to(L, &in6, sizeof in6);
  return connect_to(L, &in, sizeof in);
}

static int connect_unix(lua_State *L) {
  size_t length;
  const char *path = luaL_checklstring(L, 1, &length);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  luaL_argcheck(L, length < sizeof address.sun_path, 1, "too long");
  memcpy(address.sun_path, path, length);
  return connect_to(L, &address, sizeof address);
}

/* io.bind_datagrams(path) -> a Unix socket for datagrams; "@name" is an abstract address */
static int bind_datagrams(lua_State *L) {
  size_t length;
  const char *path = luaL_checklstring(L, 1, &length);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  luaL_argcheck(L, length < sizeof address.sun_path, 1, "too long");
  memcpy(address.sun_path, path, length);
  if (*path == '@') address.sun_path[0] = '\0';
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*path != '@'));
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) == 0) return push_fd(L, fd);
  close(fd);
  return push_fd(L, -1);
}

/* io.open(path) -> a descriptor to read from */
static int open_file(lua_State *L) {
  return push_fd(L, open(luaL_checkstring(L, 1), O_RDONLY | O_CLOEXEC));
}

/* io.duplicate(fd, least) -> the lowest free descriptor from `least` on */
static int duplicate(lua_State *L) {
  return push_fd(L, fcntl(check_fd(L, 1), F_DUPFD_CLOEXEC, (int)luaL_checkinteger(L, 2)));
}

static int is_open(lua_State *L) {
  lua_pushboolean(L, fcntl(check_fd(L, 1), F_GETFD) >= 0);
  return 1;
}

/* io.settings(fd) -> { nonblocking =, close_on_exec =, no_delay =, v6_only =, keepalive = } */
static int settings(lua_State *L) {
  int fd = check_fd(L, 1);
  int no_delay = 0;
  int v6_only = 0;
  socklen_t length = sizeof(int);
  (void)getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
  (void)getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &length);
  int keeps_alive = 0, idle = 0;
  (void)getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keeps_alive, &length);
  (void)getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &length);
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, keeps_alive ? idle : 0);
  lua_setfield(L, -2, "keepalive");
  lua_pushboolean(L, (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  lua_setfield(L, -2, "nonblocking");
  lua_pushboolean(L, (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  lua_setfield(L, -2, "close_on_exec");
  lua_pushboolean(L, no_delay != 0);
  lua_setfield(L, -2, "no_delay");
  lua_pushboolean(L, v6_only != 0);
  lua_setfield(L, -2, "v6_only");
  return 1;
}

/* io.ready(fd, "r" or "w", seconds) -> whether it became readable or writable in time */
static int is_ready(lua_State *L) {
  bool reading = *luaL_checkstring(L, 2) == 'r';
  struct pollfd watched = {.fd = check_fd(L, 1), .events = reading ? POLLIN : POLLOUT};
  lua_pushboolean(L, poll(&watched, 1, (int)(luaL_checknumber(L, 3) * 1000)) == 1);
  return 1;
}

/* io.limit_descriptors(n) -> the old limit. No descriptor from n on can be opened. */
static int limit_descriptors(lua_State *L) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return spec_failure(L, STATUS_ERROR);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = (rlim_t)luaL_checkinteger(L, 1);
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return spec_failure(L, STATUS_ERROR);
  lua_pushinteger(L, (lua_Integer)before);
  return 1;
}

static void on_alarm(int signal) { (void)signal; }

/* io.alarm(milliseconds): sends a signal at this interval; 0: stops that */
static int set_alarm(lua_State *L) {
  const struct sigaction action = {.sa_handler = on_alarm};
  lua_Integer milliseconds = luaL_checkinteger(L, 1);
  const struct timeval every = {.tv_sec = milliseconds / 1000,
                                .tv_usec = milliseconds % 1000 * 1000};
  const struct itimerval timer = {.it_interval = every, .it_value = every};
  (void)sigaction(SIGALRM, &action, NULL);
  (void)setitimer(ITIMER_REAL, &timer, NULL);
  return 0;
}

void spec_add_sockets(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"listen", listen_on},
      {"local_address", local_address},
      {"accept", accept_from},
      {"read", read_from},
      {"write", write_to},
      {"send_file", send_file},
      {"unacknowledged", unacknowledged},
      {"keep_alive", keep_alive},
      {"remove_file", remove_file},
      {"shutdown_write", shutdown_write},
      {"close", close_socket},
      {"pair", open_pair},
      {"pipe", open_pipe},
      {"connect", connect_loopback},
      {"connect_unix", connect_unix},
      {"bind_datagrams", bind_datagrams},
      {"open", open_file},
      {"duplicate", duplicate},
      {"is_open", is_open},
      {"settings", settings},
      {"ready", is_ready},
      {"limit_descriptors", limit_descriptors},
      {"alarm", set_alarm},
      {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
}
