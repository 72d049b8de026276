#include "io/network.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "io/address.h"
#include "io/datagram_channel.h"
#include "io/resolver.h"
#include "io/socket_channel.h"
#include "io/tls_channel.h"

enum {
  ATTEMPT_DELAY = 250, /* ms until the next address is tried beside: RFC 8305, 5. */
  BACKLOG_PAUSE = 20   /* ms until a Unix socket with a full backlog is tried again. */
};

struct io_network {
  struct network network; /* First, so that a pointer to it points to this. */
  struct polled_channels channels;
  struct datagrams_class datagrams;
  struct tls_clients tls_clients;
  struct world *world;
  const char *name_server;
  struct resolver *resolver; /* NULL: no name was looked up yet. */
  struct connecting *first_connecting;
  struct resolving *first_resolving;
};

/* What connect() has begun. */
struct connecting {
  struct ready turn;  /* Queued until it begins, or when it has ended. */
  struct timer timer; /* When the next address is tried. */
  struct io_network *network;
  struct network_connect *asked;
  struct connecting *next;
  struct connecting *previous;
  struct address address;
  struct resolver_lookup *lookup; /* NULL: none is under way. */
  size_t count;                   /* How many addresses there are. */
  size_t tried;                   /* How many of them were tried. */
  size_t open;                    /* How many attempts are under way. */
  int error;                      /* errno of the first that has failed. */
  struct socket_channel *attempts[NETWORK_ADDRESSES_MAX];
  struct sockaddr_storage addresses[NETWORK_ADDRESSES_MAX];
};

/* What resolve() has begun. */
struct resolving {
  struct ready turn; /* Queued until it begins. */
  struct io_network *network;
  struct network_resolve *asked;
  struct resolving *next;
  struct resolving *previous;
  struct resolver_lookup *lookup;
  char name[256];
};

/* ---- the end of connecting ----------------------------------------------------------------- */

static void close_attempts(struct connecting *connecting, const struct socket_channel *but) {
  for (size_t i = 0; i < connecting->tried; i++) {
    struct socket_channel *attempt = connecting->attempts[i];
    if (attempt && attempt != but) polled_channel_close(&attempt->polled.channel, true);
  }
}

static void free_connecting(struct connecting *connecting) {
  struct world *world = connecting->network->world;
  if (connecting->lookup) resolver_lookup_cancel(connecting->lookup);
  timer_cancel(&world->timers, &connecting->timer);
  ready_remove(&world->ready, &connecting->turn);
  if (connecting->previous)
    connecting->previous->next = connecting->next;
  else
    connecting->network->first_connecting = connecting->next;
  if (connecting->next) connecting->next->previous = connecting->previous;
  free(connecting);
}

static void end(struct connecting *connecting, struct socket_channel *channel,
                enum network_error error, const char *why) {
  struct network_connect *asked = connecting->asked;
  close_attempts(connecting, channel);
  free_connecting(connecting);
  asked->attempt = NULL;
  asked->on_end(asked, channel ? &channel->polled.channel : NULL, error, why);
}

/* ENOENT: nothing of that name for a Unix socket. */
static void fail(struct connecting *connecting, int error) {
  bool is_refused = error == ECONNREFUSED || error == ECONNRESET || error == ENOENT;
  if (error == EMFILE)
    end(connecting, NULL, NETWORK_UNREACHABLE, "no descriptor is left");
  else
    end(connecting, NULL, is_refused ? NETWORK_REFUSED : NETWORK_UNREACHABLE,
        error == ECONNREFUSED ? "connection refused" : strerror(error));
}

/* ---- attempts ------------------------------------------------------------------------------ */

static void try_next(struct connecting *connecting);

static void note_failure(struct connecting *connecting, int error) {
  if (connecting->error == 0) connecting->error = error;
}

static void on_connected(struct socket_channel *socket, int error) {
  struct connecting *connecting = socket->context;
  if (error == 0) {
    end(connecting, socket, NETWORK_OK, NULL);
    return;
  }
  for (size_t i = 0; i < connecting->tried; i++)
    if (connecting->attempts[i] == socket) connecting->attempts[i] = NULL;
  connecting->open--;
  polled_channel_close(&socket->polled.channel, false);
  note_failure(connecting, error);
  try_next(connecting);
}

static enum status wait_for(struct connecting *connecting, int64_t pause) {
  struct timer_heap *timers = &connecting->network->world->timers;
  return timer_set(timers, &connecting->timer, clock_milliseconds() + pause);
}

/* Begins with the next address, or with one after it if that fails at once. */
static void try_next(struct connecting *connecting) {
  while (connecting->tried < connecting->count) {
    size_t place = connecting->tried;
    struct socket_channel **attempt = &connecting->attempts[place];
    enum status status = socket_channel_connect(&connecting->network->channels,
                                                &connecting->addresses[place], attempt);
    if (status == STATUS_AGAIN) {
      if (wait_for(connecting, BACKLOG_PAUSE) == STATUS_OK) return;
      status = STATUS_NO_MEMORY;
    }
    connecting->tried++;
    if (status == STATUS_OK) {
      (*attempt)->on_connected = on_connected;
      (*attempt)->context = connecting;
      connecting->open++;
      if (connecting->tried < connecting->count) (void)wait_for(connecting, ATTEMPT_DELAY);
      return;
    }
    *attempt = NULL;
    note_failure(connecting, status == STATUS_FULL        ? EMFILE
                             : status == STATUS_NO_MEMORY ? ENOMEM
                                                          : errno);
  }
  if (connecting->open == 0) fail(connecting, connecting->error);
}

static void on_timer(struct timer *timer) {
  try_next((struct connecting *)((char *)timer - offsetof(struct connecting, timer)));
}

static void set_port(struct sockaddr_storage *address, unsigned port) {
  if (address->ss_family == AF_INET6)
    ((struct sockaddr_in6 *)address)->sin6_port = htons((in_port_t)port);
  else
    ((struct sockaddr_in *)address)->sin_port = htons((in_port_t)port);
}

static void on_found(void *context, const struct sockaddr_storage *addresses, size_t count,
                     const char *why) {
  struct connecting *connecting = context;
  connecting->lookup = NULL;
  if (count == 0) {
    end(connecting, NULL, NETWORK_NAME, why);
    return;
  }
  assert(count <= NETWORK_ADDRESSES_MAX);
  memcpy(connecting->addresses, addresses, count * sizeof *addresses);
  for (size_t i = 0; i < count; i++) set_port(&connecting->addresses[i], connecting->address.port);
  connecting->count = count;
  try_next(connecting);
}

/* ---- names --------------------------------------------------------------------------------- */

static enum status find(struct io_network *network, const char *name, resolver_found *found,
                        void *context, struct resolver_lookup **lookup) {
  enum status status = STATUS_OK;
  if (!network->resolver)
    status = resolver_create(network->channels.poller, network->name_server, &network->resolver);
  if (status != STATUS_OK) return status;
  return resolver_find_start(network->resolver, name, found, context, lookup);
}

/* The callback may have freed what `lookup` is in, so it is stored only if it is under way. */
static void begin_connecting(struct ready *turn) {
  struct connecting *connecting =
      (struct connecting *)((char *)turn - offsetof(struct connecting, turn));
  struct resolver_lookup *lookup;
  if (connecting->address.kind == ADDRESS_UNIX) {
    struct sockaddr_un *un = (struct sockaddr_un *)&connecting->addresses[0];
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof un->sun_path, "%.107s", connecting->address.host);
    connecting->count = 1;
    try_next(connecting);
    return;
  }
  if (find(connecting->network, connecting->address.host, on_found, connecting, &lookup) !=
      STATUS_OK)
    end(connecting, NULL, NETWORK_NAME, "names cannot be looked up now");
  else if (lookup)
    connecting->lookup = lookup;
}

/* ---- what scripts ask for ------------------------------------------------------------------ */

static enum status start_connect(struct network *network, const char *text,
                                 struct network_connect *asked, const char **why) {
  struct io_network *io = (struct io_network *)network;
  struct address address;
  if (address_parse(text, &address, why) != STATUS_OK) return STATUS_ERROR;
  *why = "udp: is for datagrams, which have no connection";
  if (address.kind == ADDRESS_UDP) return STATUS_ERROR;
  *why = address.kind == ADDRESS_UNIX || *address.host ? "the port is 0" : "the host is missing";
  if (address.kind != ADDRESS_UNIX && (address.port == 0 || !*address.host)) return STATUS_ERROR;
  struct connecting *connecting = calloc(1, sizeof *connecting);
  if (!connecting) return STATUS_NO_MEMORY;
  connecting->turn.run = begin_connecting;
  connecting->timer.expire = on_timer;
  connecting->network = io;
  connecting->asked = asked;
  connecting->address = address;
  connecting->next = io->first_connecting;
  if (connecting->next) connecting->next->previous = connecting;
  io->first_connecting = connecting;
  asked->attempt = connecting;
  ready_add(&io->world->ready, &connecting->turn);
  return STATUS_OK;
}

static void cancel_connect(struct network_connect *asked) {
  struct connecting *connecting = asked->attempt;
  if (!connecting) return;
  asked->attempt = NULL;
  close_attempts(connecting, NULL);
  free_connecting(connecting);
}

static enum status prepare_tls(struct network *network, const struct network_tls *tls,
                               uint64_t *version, char why[NETWORK_WHY_MAX]) {
  struct tls_client *client;
  return tls_clients_find(&((struct io_network *)network)->tls_clients, tls, &client, version, why);
}

static void start_tls(struct network *network, struct channel *channel,
                      const struct network_tls *tls, struct network_connect *asked) {
  struct io_network *io = (struct io_network *)network;
  struct socket_channel *socket = (struct socket_channel *)polled_channel_of(channel);
  tls_channel_begin(socket, &io->world->ready, &io->tls_clients, tls, asked);
}

static void free_resolving(struct resolving *resolving) {
  if (resolving->lookup) resolver_lookup_cancel(resolving->lookup);
  ready_remove(&resolving->network->world->ready, &resolving->turn);
  if (resolving->previous)
    resolving->previous->next = resolving->next;
  else
    resolving->network->first_resolving = resolving->next;
  if (resolving->next) resolving->next->previous = resolving->previous;
  free(resolving);
}

static void end_resolving(struct resolving *resolving, const char *const *addresses, size_t count,
                          const char *why) {
  struct network_resolve *asked = resolving->asked;
  free_resolving(resolving);
  asked->lookup = NULL;
  asked->on_end(asked, addresses, count, why);
}

static void on_resolved(void *context, const struct sockaddr_storage *addresses, size_t count,
                        const char *why) {
  struct resolving *resolving = context;
  char texts[NETWORK_ADDRESSES_MAX][ADDRESS_TEXT_MAX];
  const char *pointers[NETWORK_ADDRESSES_MAX];
  unsigned port;
  resolving->lookup = NULL;
  assert(count <= NETWORK_ADDRESSES_MAX);
  for (size_t i = 0; i < count; i++) {
    address_numeric((const struct sockaddr *)&addresses[i], texts[i], &port);
    pointers[i] = texts[i];
  }
  end_resolving(resolving, pointers, count, why);
}

static void begin_resolving(struct ready *turn) {
  struct resolving *resolving =
      (struct resolving *)((char *)turn - offsetof(struct resolving, turn));
  struct resolver_lookup *lookup;
  if (find(resolving->network, resolving->name, on_resolved, resolving, &lookup) != STATUS_OK)
    end_resolving(resolving, NULL, 0, "names cannot be looked up now");
  else if (lookup)
    resolving->lookup = lookup;
}

static enum status start_resolve(struct network *network, const char *name,
                                 struct network_resolve *asked) {
  struct io_network *io = (struct io_network *)network;
  struct resolving *resolving = calloc(1, sizeof *resolving);
  if (!resolving) return STATUS_NO_MEMORY;
  resolving->turn.run = begin_resolving;
  resolving->network = io;
  resolving->asked = asked;
  snprintf(resolving->name, sizeof resolving->name, "%s", name);
  resolving->next = io->first_resolving;
  if (resolving->next) resolving->next->previous = resolving;
  io->first_resolving = resolving;
  asked->lookup = resolving;
  ready_add(&io->world->ready, &resolving->turn);
  return STATUS_OK;
}

static void cancel_resolve(struct network_resolve *asked) {
  if (asked->lookup) free_resolving(asked->lookup);
  asked->lookup = NULL;
}

static enum status open_datagrams(struct network *network, enum datagrams_family family,
                                  struct channel **opened, const char **why) {
  struct io_network *io = (struct io_network *)network;
  return datagram_channel_open(&io->channels, family, opened, why);
}

/* ---- the loop ------------------------------------------------------------------------------ */

int64_t io_network_deadline(struct io_network *network, int64_t now) {
  return network->resolver ? resolver_deadline(network->resolver, now) : CLOCK_NEVER;
}

void io_network_expire(struct io_network *network) {
  if (network->resolver) resolver_expire(network->resolver);
}

bool io_network_free_closed(struct io_network *network) {
  if (!network->channels.closed) return false;
  polled_channels_free_closed(&network->channels);
  return true;
}

size_t io_network_descriptors(const struct io_network *network) {
  return network->channels.descriptors;
}

enum status io_network_create(struct poller *poller, struct world *world, const char *name_server,
                              struct io_network **created) {
  struct io_network *network = calloc(1, sizeof *network);
  if (!network) return STATUS_NO_MEMORY;
  network->network = (struct network){.connect = start_connect,
                                      .cancel_connect = cancel_connect,
                                      .prepare_tls = prepare_tls,
                                      .start_tls = start_tls,
                                      .resolve = start_resolve,
                                      .cancel_resolve = cancel_resolve,
                                      .datagrams = &network->datagrams};
  network->datagrams = datagram_channel_functions;
  network->datagrams.open = open_datagrams;
  network->channels.poller = poller;
  network->world = world;
  network->name_server = name_server;
  world->network = &network->network;
  *created = network;
  return STATUS_OK;
}

void io_network_destroy(struct io_network *network) {
  if (!network) return;
  network->world->network = NULL;
  struct connecting *next_connecting;
  for (struct connecting *one = network->first_connecting; one; one = next_connecting) {
    next_connecting = one->next;
    end(one, NULL, NETWORK_UNREACHABLE, "the server stops");
  }
  struct resolving *next_resolving;
  for (struct resolving *one = network->first_resolving; one; one = next_resolving) {
    next_resolving = one->next;
    end_resolving(one, NULL, 0, "the server stops");
  }
  polled_channels_break(&network->channels);
  tls_clients_clear(&network->tls_clients);
  if (network->resolver) resolver_destroy(network->resolver);
  free(network);
}
