/* upstreams_internal.h: what the files of the upstreams share. Private to them. */
#ifndef SIMULATOR_UPSTREAMS_INTERNAL_H
#define SIMULATOR_UPSTREAMS_INTERNAL_H

#include "base/buffer.h"
#include "base/network.h"
#include "base/world.h"
#include "simulator/upstreams.h"

/* Who is played. */
struct party {
  char *address;
  char *why;                /* With `error`. */
  enum network_error error; /* Its connect, or its handshake, fails. */
  bool is_silent;           /* Its connect never ends. */
  bool is_taken;            /* There was a connect for it. */
  bool has_tls;             /* Whoever connects must begin TLS at once. */
};

/* How far the TLS of a connection is. */
enum upstream_tls {
  UPSTREAM_PLAIN,
  UPSTREAM_ASKED,     /* The script has begun TLS behind plain bytes, and waits for the party. */
  UPSTREAM_HANDSHAKE, /* It ends in a turn. */
  UPSTREAM_TLS
};

/* One connection. It lives until both the script has closed it and the play is over. */
struct upstream {
  struct channel channel;
  struct ready turn;
  struct upstreams *owner; /* NULL: the play is over. */
  struct world *world;
  struct network_connect *asked; /* While it connects, or begins TLS. */
  struct upstream *next;
  struct buffer *to_script;
  struct buffer *from_script;
  unsigned interest;
  bool is_accepted;  /* accept() has returned it. */
  bool is_connected; /* The script has the channel. */
  bool is_in_turn;
  bool is_ended;             /* The party has stopped sending. */
  bool is_broken;            /* The party has reset the connection, or the play is over. */
  bool is_shut;              /* The script has stopped sending. */
  bool is_closed;            /* The script has closed the connection. */
  bool is_reset;             /* The script has closed it with a reset. */
  bool begins_tls;           /* The script begins TLS as soon as it is connected. */
  const struct party *party; /* While it connects. */
  bool is_refused;
  enum upstream_tls tls;
  enum network_error tls_error; /* How the handshake ends, and why. */
  char tls_why[128];
  char *tls_text; /* See describe_tls() in base/channel.h; NULL: there is no TLS. */
  size_t tls_length;
  char address[];
};

static inline struct upstream *upstream_of_channel(struct channel *channel) {
  return (struct upstream *)((char *)channel - offsetof(struct upstream, channel));
}

/* The connection whose number stands at index 2. */
struct upstream *upstreams_check(lua_State *L, const struct upstreams *upstreams);

/* The functions of struct network and of struct channel_class. */
enum status upstream_prepare_tls(struct network *network, const struct network_tls *tls,
                                 uint64_t *version, char why[NETWORK_WHY_MAX]);
void upstream_start_tls(struct network *network, struct channel *channel,
                        const struct network_tls *tls, struct network_connect *asked);
enum status upstream_describe_tls(const struct channel *channel, char **text, size_t *length);

/* In a turn: tells the end of the handshake. */
void upstream_finish_tls(struct upstream *upstream);

/* The party does what breaks a handshake. Does nothing if there is none. */
void upstream_fail_tls(struct upstream *upstream, const char *why);

#endif
