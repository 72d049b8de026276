/* channel.h: a stream of bytes to and from another party, as a world gives it to a script.
 *
 * Whoever makes a channel implements the class: io/ with sockets, a simulation without. Its user
 * reads and sends when it is told that it can; no call waits, and none tells the user anything
 * before it returns. */
#ifndef BASE_CHANNEL_H
#define BASE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { CHANNEL_NONE = 0, CHANNEL_READ = 1, CHANNEL_WRITE = 2 };

/* The two ends of a channel, and the size of the longest address, with its terminator. */
enum channel_end { CHANNEL_OWN_END, CHANNEL_PEER };
enum { CHANNEL_ADDRESS_MAX = 128 };

/* Who has the channel. A member of the struct that it belongs to (intrusive). */
struct channel_user {
  /* The channel may be read or written: `events` are CHANNEL_READ | CHANNEL_WRITE. A broken channel
   * is both. Only the loop calls it. It may close the channel. */
  void (*on_ready)(struct channel_user *user, unsigned events);
};

struct channel {
  const struct channel_class *class;
  struct channel_user *user; /* NULL: nobody is told. */
};

struct channel_class {
  /* Reads up to `capacity` bytes. STATUS_AGAIN: there are none now. STATUS_CLOSED: the peer has
   * stopped sending. STATUS_ERROR: the channel is broken. */
  enum status (*receive)(struct channel *channel, char *into, size_t capacity, size_t *length);

  /* Sends up to `length` bytes. STATUS_AGAIN: it takes none now. STATUS_ERROR: it is broken. */
  enum status (*send)(struct channel *channel, const char *bytes, size_t length, size_t *sent);

  /* What the user wants to be told: CHANNEL_READ | CHANNEL_WRITE. It is told again and again while
   * that is so. A new channel has CHANNEL_NONE. */
  void (*watch)(struct channel *channel, unsigned interest);

  /* Ends sending. The other direction stays open. */
  void (*shutdown)(struct channel *channel);

  /* Ends the channel, which is not valid any more. `reset`: the peer must not take what it got for
   * whole. */
  void (*close)(struct channel *channel, bool reset);

  /* Writes the address of one end, such as "127.0.0.1:80" or "[::1]:80", into
   * text[CHANNEL_ADDRESS_MAX]. False: it has none. NULL: no channel of the class has one. */
  bool (*address)(const struct channel *channel, enum channel_end end, char *text);

  /* How many bytes it has taken and still has itself. They go out while it is watched for
   * CHANNEL_WRITE. A channel that is closed before then is reset. NULL: always 0. */
  size_t (*held)(const struct channel *channel);

  /* What is known of its TLS: the texts of tls_describe() in io/tls.h. The caller frees *text.
   * NULL: it has no TLS. */
  enum status (*describe_tls)(const struct channel *channel, char **text, size_t *length);

  /* Why it is broken, a static text; NULL: nothing more is known. May be NULL. */
  const char *(*why)(const struct channel *channel);
};

static inline size_t channel_held(const struct channel *channel) {
  return channel->class->held ? channel->class->held(channel) : 0;
}

#endif
