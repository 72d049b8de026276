#include "io/tls_channel.h"

#include <errno.h>
#include <stdio.h>

#include "io/tls.h"

static struct socket_channel *socket_of(struct channel *channel) {
  return (struct socket_channel *)polled_channel_of(channel);
}

static const struct socket_channel *socket_of_const(const struct channel *channel) {
  return (const struct socket_channel *)polled_channel_of_const(channel);
}

/* There is no TLS before the turn in which it begins, nor if it could not begin; but the poller may
 * report the socket then. */
static bool has_tls(const struct socket_channel *socket) {
  return socket->polled.fd >= 0 && socket->tls;
}

/* ---- bytes --------------------------------------------------------------------------------- */

static enum status receive(struct channel *channel, char *into, size_t capacity, size_t *length) {
  const struct socket_channel *socket = socket_of(channel);
  if (has_tls(socket)) return tls_read(socket->tls, into, capacity, length);
  errno = ECONNRESET;
  return STATUS_ERROR;
}

static enum status send_bytes(struct channel *channel, const char *bytes, size_t length,
                              size_t *sent) {
  const struct socket_channel *socket = socket_of(channel);
  const struct span span = {bytes, length};
  if (has_tls(socket)) return tls_write(socket->tls, &span, 1, false, sent);
  errno = EPIPE;
  return STATUS_ERROR;
}

static void shut(struct channel *channel) {
  const struct socket_channel *socket = socket_of(channel);
  if (has_tls(socket)) tls_shutdown_write(socket->tls);
}

static size_t held(const struct channel *channel) {
  const struct socket_channel *socket = socket_of_const(channel);
  return has_tls(socket) ? tls_held(socket->tls) : 0;
}

/* ---- events -------------------------------------------------------------------------------- */

/* The poller does not know of bytes that were read from the socket already. */
static void watch(struct channel *channel, unsigned interest) {
  struct socket_channel *socket = socket_of(channel);
  polled_channel_watch(channel, interest);
  if ((interest & CHANNEL_READ) && has_tls(socket) && tls_has_pending(socket->tls))
    ready_add(socket->turn_queue, &socket->turn);
}

/* The user may write when all that is held was sent. */
static void on_event(struct event_handler *event_handler, unsigned events) {
  struct socket_channel *socket = (struct socket_channel *)event_handler;
  if ((events & POLLER_WRITE) && has_tls(socket) && tls_flush(socket->tls) == STATUS_AGAIN)
    events &= ~(unsigned)POLLER_WRITE;
  polled_channel_on_event(event_handler, events);
}

static void tell_pending(const struct socket_channel *socket) {
  struct channel_user *user = socket->polled.channel.user;
  bool is_told = has_tls(socket) && (socket->polled.interest & CHANNEL_READ);
  if (is_told && user && tls_has_pending(socket->tls)) user->on_ready(user, CHANNEL_READ);
}

/* ---- handshake ----------------------------------------------------------------------------- */

static void end(struct socket_channel *socket, enum network_error error, const char *why) {
  struct network_connect *asked = socket->asked;
  struct channel *channel = &socket->polled.channel;
  socket->asked = NULL;
  socket->options = NULL;
  socket->polled.event_handler.on_event = on_event;
  polled_channel_watch(channel, CHANNEL_NONE);
  asked->on_end(asked, error == NETWORK_OK ? channel : NULL, error, why);
}

static void fail(struct socket_channel *socket, bool has_closed) {
  char why[NETWORK_WHY_MAX], name[TLS_NAME_MAX];
  const char *refusal = tls_refusal(socket->tls);
  if (refusal) {
    tls_client_name(socket->options, name);
    snprintf(why, sizeof why, "the certificate of %s is refused: %s",
             *name ? name : socket->options->address, refusal);
  } else
    snprintf(why, sizeof why, "TLS: %s",
             has_closed ? "the peer has closed the connection" : tls_why(socket->tls));
  end(socket, refusal ? NETWORK_CERTIFICATE : NETWORK_HANDSHAKE, why);
}

static void go_on(struct socket_channel *socket) {
  enum status status =
      tls_flush(socket->tls) == STATUS_ERROR ? STATUS_ERROR : tls_handshake(socket->tls);
  if (status == STATUS_OK)
    end(socket, NETWORK_OK, NULL);
  else if (status == STATUS_AGAIN)
    polled_channel_watch(&socket->polled.channel,
                         CHANNEL_READ | (tls_held(socket->tls) > 0 ? CHANNEL_WRITE : 0U));
  else
    fail(socket, status == STATUS_CLOSED);
}

static void on_handshake_event(struct event_handler *event_handler, unsigned events) {
  struct socket_channel *socket = (struct socket_channel *)event_handler;
  (void)events;
  if (has_tls(socket)) go_on(socket);
}

static void begin(struct socket_channel *socket) {
  struct tls_client *client;
  uint64_t version;
  char why[NETWORK_WHY_MAX];
  if (tls_clients_find(socket->clients, socket->options, &client, &version, why) != STATUS_OK) {
    end(socket, NETWORK_CERTIFICATE, why);
    return;
  }
  socket->tls = tls_connect(client, socket->options, socket->polled.fd);
  if (socket->tls)
    go_on(socket);
  else
    end(socket, NETWORK_HANDSHAKE, "TLS: not enough memory");
}

static void take_turn(struct ready *turn) {
  struct socket_channel *socket =
      (struct socket_channel *)((char *)turn - offsetof(struct socket_channel, turn));
  if (socket->asked)
    begin(socket);
  else
    tell_pending(socket);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* It is told that this is the end, unless something of it is missing. */
static void close_channel(struct channel *channel, bool reset) {
  struct socket_channel *socket = socket_of(channel);
  bool is_open = socket->polled.fd >= 0;
  bool is_cut = reset || (is_open && socket->tls && tls_held(socket->tls) > 0);
  ready_remove(socket->turn_queue, &socket->turn);
  socket->asked = NULL;
  tls_destroy(socket->tls, is_open && !is_cut);
  socket->tls = NULL;
  polled_channel_close(channel, is_cut);
}

static enum status describe(const struct channel *channel, char **text, size_t *length) {
  return tls_describe(socket_of_const(channel)->tls, text, length);
}

static const char *find_reason(const struct channel *channel) {
  const struct socket_channel *socket = socket_of_const(channel);
  return has_tls(socket) ? tls_why(socket->tls) : NULL;
}

void tls_channel_begin(struct socket_channel *socket, struct ready_queue *queue,
                       struct tls_clients *clients, const struct network_tls *options,
                       struct network_connect *asked) {
  static const struct channel_class tls_class = {.receive = receive,
                                                 .send = send_bytes,
                                                 .watch = watch,
                                                 .shutdown = shut,
                                                 .close = close_channel,
                                                 .address = socket_channel_address,
                                                 .held = held,
                                                 .describe_tls = describe,
                                                 .why = find_reason};
  socket->polled.channel.class = &tls_class;
  socket->polled.event_handler.on_event = on_handshake_event;
  socket->turn.run = take_turn;
  socket->turn_queue = queue;
  socket->clients = clients;
  socket->options = options;
  socket->asked = asked;
  ready_add(queue, &socket->turn);
}
