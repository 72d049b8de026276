#include "io/resolver.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/address.h"

enum {
  LOOKUP_MS = 5000, /* The time limit that resolver.h promises. */
  TRY_MS = 1200,    /* The time limit of the first try; c-ares doubles it for the second. */
  TRIES = 2,
  TICK_MS = 250, /* How often c-ares checks its own time-outs: they need not be exact. */
  NAME_MAX_LENGTH = 253
};

/* One of c-ares's sockets. */
struct resolver_socket {
  struct event_handler event_handler;
  struct resolver *resolver;
  int fd; /* -1: c-ares has closed it. */
  struct resolver_socket *next;
};

/* c-ares holds a look-up from its start to on_answer(), which frees it, also after its callback was
 * called or it was cancelled. */
struct resolver_lookup {
  struct resolver *resolver;
  resolver_callback *callback; /* Of the look-up of a peer's name; else NULL. */
  resolver_found *found;       /* Of the look-up of addresses; else NULL. */
  void *context;
  int64_t deadline;
  struct resolver_lookup *previous, *next; /* In the resolver's list until it is over. */
  bool is_over;                            /* A callback was called, or it was cancelled. */
  bool starting;                           /* The function that starts it is running. */
  bool finished;                           /* c-ares has answered. */
};

struct resolver {
  struct poller *poller;
  ares_channel channel;
  struct resolver_socket *sockets;
  struct resolver_socket *closed;          /* Freed when no event can refer to them any more. */
  struct resolver_lookup *oldest, *newest; /* Look-ups that are not over, by deadline. */
  size_t pending;                          /* How many look-ups c-ares has. */
  int64_t tick;                            /* When c-ares checks its time-outs next. */
};

/* --- c-ares's sockets --- */

static void on_ready(struct event_handler *event_handler, unsigned events) {
  struct resolver_socket *ready = (struct resolver_socket *)event_handler;
  if (ready->fd < 0) return;
  bool readable = events & (POLLER_READ | POLLER_GONE); /* c-ares finds errors by reading. */
  bool writable = events & POLLER_WRITE;
  ares_process_fd(ready->resolver->channel, readable ? ready->fd : ARES_SOCKET_BAD,
                  writable ? ready->fd : ARES_SOCKET_BAD);
}

/* If the poller cannot watch the socket, its look-ups time out. */
static void open_socket(struct resolver *resolver, int fd, unsigned interest) {
  struct resolver_socket *opened = malloc(sizeof *opened);
  if (!opened) return;
  *opened = (struct resolver_socket){.event_handler.on_event = on_ready,
                                     .resolver = resolver,
                                     .fd = fd,
                                     .next = resolver->sockets};
  if (poller_add(resolver->poller, fd, interest, &opened->event_handler) == STATUS_OK)
    resolver->sockets = opened;
  else
    free(opened);
}

static void retire_socket(struct resolver *resolver, struct resolver_socket **link) {
  struct resolver_socket *retired = *link;
  *link = retired->next;
  poller_remove(resolver->poller, retired->fd);
  retired->fd = -1;
  retired->next = resolver->closed;
  resolver->closed = retired;
}

static void free_closed(struct resolver *resolver) {
  while (resolver->closed) {
    struct resolver_socket *next = resolver->closed->next;
    free(resolver->closed);
    resolver->closed = next;
  }
}

/* c-ares calls this before it closes fd (neither readable nor writable), and whenever the events
 * that it waits for change. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable) {
  struct resolver *resolver = context;
  unsigned interest = (readable ? POLLER_READ : 0U) | (writable ? POLLER_WRITE : 0U);
  struct resolver_socket **link = &resolver->sockets;
  while (*link && (*link)->fd != fd) link = &(*link)->next;
  if (*link && !interest)
    retire_socket(resolver, link);
  else if (*link)
    (void)poller_change(resolver->poller, fd, interest);
  else if (interest)
    open_socket(resolver, fd, interest);
}

/* --- look-ups --- */

/* A peer controls its own reverse DNS. Its name must be harmless in a log and must not look like a
 * numeric address ("10.0.0.1", "0x7f000001"). */
static bool is_host_name(const char *name) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  size_t length = strlen(name);
  if (length == 0 || length > NAME_MAX_LENGTH || strspn(name, allowed) != length) return false;
  const char *dot = strrchr(name, '.');
  const char *last = dot ? dot + 1 : name;
  if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X')) return false;
  return last[strspn(last, "0123456789")] != '\0';
}

static void append(struct resolver_lookup *lookup) {
  struct resolver *resolver = lookup->resolver;
  lookup->previous = resolver->newest;
  if (resolver->newest)
    resolver->newest->next = lookup;
  else
    resolver->oldest = lookup;
  resolver->newest = lookup;
}

void resolver_lookup_cancel(struct resolver_lookup *lookup) {
  struct resolver *resolver = lookup->resolver;
  if (lookup->previous)
    lookup->previous->next = lookup->next;
  else
    resolver->oldest = lookup->next;
  if (lookup->next)
    lookup->next->previous = lookup->previous;
  else
    resolver->newest = lookup->previous;
  lookup->is_over = true;
}

/* Call the callback unless that was done, or the look-up was cancelled. */
static void answer(struct resolver_lookup *lookup, const char *name) {
  if (lookup->is_over) return;
  resolver_lookup_cancel(lookup);
  lookup->callback(lookup->context, name);
}

static void answer_found(struct resolver_lookup *lookup, const struct sockaddr_storage *addresses,
                         size_t count, const char *why) {
  if (lookup->is_over) return;
  resolver_lookup_cancel(lookup);
  lookup->found(lookup->context, addresses, count, why);
}

static const char no_answer[] = "no name server has answered";

static void time_out(struct resolver_lookup *lookup) {
  if (lookup->found)
    answer_found(lookup, NULL, 0, no_answer);
  else
    answer(lookup, NULL);
}

static void on_answer(void *context, int status, int timeouts, struct hostent *host) {
  struct resolver_lookup *lookup = context;
  (void)timeouts;
  lookup->resolver->pending--;
  lookup->finished = true;
  bool named = status == ARES_SUCCESS && host && host->h_name && is_host_name(host->h_name);
  answer(lookup, named ? host->h_name : NULL);
  if (!lookup->starting) free(lookup);
}

static void ask(struct resolver_lookup *lookup, const struct sockaddr *address) {
  ares_channel channel = lookup->resolver->channel;
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    ares_gethostbyaddr(channel, &in.sin_addr, sizeof in.sin_addr, AF_INET, on_answer, lookup);
  } else {
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    ares_gethostbyaddr(channel, &in6.sin6_addr, sizeof in6.sin6_addr, AF_INET6, on_answer, lookup);
  }
}

static enum status begin(struct resolver *resolver, void *context,
                         struct resolver_lookup **started) {
  if (resolver->pending >= RESOLVER_PENDING_MAX) return STATUS_FULL;
  *started = calloc(1, sizeof **started);
  if (!*started) return STATUS_NO_MEMORY;
  (*started)->resolver = resolver;
  (*started)->context = context;
  (*started)->deadline = clock_milliseconds() + LOOKUP_MS;
  (*started)->starting = true;
  append(*started);
  resolver->pending++;
  return STATUS_OK;
}

/* The look-up; NULL: it has ended. */
static struct resolver_lookup *end_start(struct resolver_lookup *started) {
  started->starting = false;
  if (!started->finished) return started->is_over ? NULL : started;
  free(started);
  return NULL;
}

enum status resolver_lookup_start(struct resolver *resolver, const struct sockaddr *address,
                                  resolver_callback *callback, void *context,
                                  struct resolver_lookup **lookup) {
  *lookup = NULL;
  if (address->sa_family != AF_INET && address->sa_family != AF_INET6) {
    callback(context, NULL);
    return STATUS_OK;
  }
  struct resolver_lookup *started;
  enum status status = begin(resolver, context, &started);
  if (status != STATUS_OK) return status;
  started->callback = callback;
  ask(started, address);
  *lookup = end_start(started);
  return STATUS_OK;
}

/* --- the addresses of a name --- */

static bool is_known(const struct ares_addrinfo_node *node) {
  return node->ai_family == AF_INET || node->ai_family == AF_INET6;
}

/* The next node of this family (or, with `is_same` false, of another one), from *place on. */
static const struct ares_addrinfo_node *next_of(const struct ares_addrinfo_node **place, int family,
                                                bool is_same) {
  for (; *place; *place = (*place)->ai_next) {
    const struct ares_addrinfo_node *node = *place;
    if (!is_known(node) || (node->ai_family == family) != is_same) continue;
    *place = node->ai_next;
    return node;
  }
  return NULL;
}

/* The addresses come in the order of RFC 6724. From the first one on the families take turns. */
static size_t interleave(const struct ares_addrinfo_node *nodes,
                         struct sockaddr_storage addresses[NETWORK_ADDRESSES_MAX]) {
  const struct ares_addrinfo_node *first = nodes, *other = nodes;
  size_t count = 0, turn = 0, misses = 0;
  while (nodes && !is_known(nodes)) nodes = nodes->ai_next;
  while (nodes && count < NETWORK_ADDRESSES_MAX && misses < 2) {
    bool is_first = turn++ % 2 == 0;
    const struct ares_addrinfo_node *node =
        next_of(is_first ? &first : &other, nodes->ai_family, is_first);
    misses = node ? 0 : misses + 1;
    if (node) memcpy(&addresses[count++], node->ai_addr, node->ai_addrlen);
  }
  return count;
}

static void on_found(void *context, int status, int timeouts, struct ares_addrinfo *result) {
  struct resolver_lookup *lookup = context;
  struct sockaddr_storage addresses[NETWORK_ADDRESSES_MAX] = {0};
  size_t count = 0;
  (void)timeouts;
  lookup->resolver->pending--;
  lookup->finished = true;
  if (status == ARES_SUCCESS && result) count = interleave(result->nodes, addresses);
  bool is_answered = status != ARES_ETIMEOUT && status != ARES_ECONNREFUSED;
  const char *why = is_answered ? "the name has no address" : no_answer;
  answer_found(lookup, addresses, count, count > 0 ? NULL : why);
  if (result) ares_freeaddrinfo(result);
  if (!lookup->starting) free(lookup);
}

/* The numeric address, or those of the loopback. Returns how many there are. */
static size_t find_known(const char *name, struct sockaddr_storage *addresses) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
  struct addrinfo *list;
  if (address_is_localhost(name)) {
    memcpy(&addresses[0], &in6, sizeof in6);
    memcpy(&addresses[1], &in, sizeof in);
    return 2;
  }
  if (getaddrinfo(name, NULL, &hints, &list) != 0) return 0;
  memcpy(&addresses[0], list->ai_addr, list->ai_addrlen);
  freeaddrinfo(list);
  return 1;
}

enum status resolver_find_start(struct resolver *resolver, const char *name, resolver_found *found,
                                void *context, struct resolver_lookup **lookup) {
  static const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC,
                                                   .ai_socktype = SOCK_STREAM};
  struct sockaddr_storage known[2] = {0};
  struct resolver_lookup *started;
  size_t count = find_known(name, known);
  *lookup = NULL;
  if (count > 0) {
    found(context, known, count, NULL);
    return STATUS_OK;
  }
  enum status status = begin(resolver, context, &started);
  if (status != STATUS_OK) return status;
  started->found = found;
  ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_found, started);
  *lookup = end_start(started);
  return STATUS_OK;
}

/* --- time --- */

int64_t resolver_deadline(struct resolver *resolver, int64_t now) {
  free_closed(resolver);
  if (!resolver->pending) {
    resolver->tick = CLOCK_NEVER;
    return CLOCK_NEVER;
  }
  if (resolver->tick == CLOCK_NEVER) resolver->tick = now + TICK_MS;
  const struct resolver_lookup *oldest = resolver->oldest;
  return oldest && oldest->deadline < resolver->tick ? oldest->deadline : resolver->tick;
}

void resolver_expire(struct resolver *resolver) {
  int64_t now = clock_milliseconds();
  if (resolver->tick <= now) {
    resolver->tick = CLOCK_NEVER;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }
  while (resolver->oldest && resolver->oldest->deadline <= now) time_out(resolver->oldest);
}

/* --- create and destroy --- */

static enum status translate(int code) {
  if (code == ARES_SUCCESS) return STATUS_OK;
  if (code == ARES_ENOMEM) return STATUS_NO_MEMORY;
  errno = EINVAL;
  return STATUS_ERROR;
}

static enum status open_channel(struct resolver *resolver, const char *name_server) {
  struct ares_options options = {.timeout = TRY_MS,
                                 .tries = TRIES,
                                 .sock_state_cb = on_socket_state,
                                 .sock_state_cb_data = resolver};
  int code = ares_init_options(&resolver->channel, &options,
                               ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
  if (code != ARES_SUCCESS || !name_server) return translate(code);
  code = ares_set_servers_ports_csv(resolver->channel, name_server);
  if (code != ARES_SUCCESS) ares_destroy(resolver->channel);
  return translate(code);
}

enum status resolver_create(struct poller *poller, const char *name_server,
                            struct resolver **resolver) {
  enum status status = translate(ares_library_init(ARES_LIB_INIT_ALL));
  if (status != STATUS_OK) return status;
  struct resolver *created = calloc(1, sizeof *created);
  status = STATUS_NO_MEMORY;
  if (!created) goto error;
  created->poller = poller;
  created->tick = CLOCK_NEVER;
  status = open_channel(created, name_server);
  if (status != STATUS_OK) goto error;
  *resolver = created;
  return STATUS_OK;
error:
  free(created);
  ares_library_cleanup();
  return status;
}

void resolver_destroy(struct resolver *resolver) {
  if (!resolver) return;
  while (resolver->oldest) resolver_lookup_cancel(resolver->oldest);
  /* Calls on_answer() for every look-up and on_socket_state() for every socket. */
  ares_destroy(resolver->channel);
  while (resolver->sockets) retire_socket(resolver, &resolver->sockets);
  free_closed(resolver);
  free(resolver);
  ares_library_cleanup();
}
