#include "script/kept.h"

#include <stdlib.h>
#include <string.h>

#include "script/script_internal.h"
#include "script/stream.h"
#include "script/stream_tap.h"

enum {
  KEPT_TIME = 60000, /* ms */
  PER_ADDRESS = 64,
  IN_ALL = 1024
};

struct kept {
  struct channel_user user;
  struct timer timer;
  struct script *script;
  struct channel *channel;
  const struct session *session; /* With a tap, that has given it; NULL: any other. */
  uint32_t number;               /* What that tap calls it. */
  struct stream_tls *tls;        /* NULL: it is plain. */
  struct kept_address *address;
  struct kept *next; /* To the same address. */
  struct kept *previous;
};

/* All that are kept to one address; there is at least one. */
struct kept_address {
  struct kept *first; /* That was given last. */
  size_t count;
  struct kept_address *next;
  char text[];
};

static struct kept_address *find_address(const struct script *script, const char *text) {
  struct kept_address *address = script->kept.addresses;
  while (address && strcmp(address->text, text) != 0) address = address->next;
  return address;
}

static struct kept_address *add_address(struct script *script, const char *text) {
  size_t size = strlen(text) + 1;
  struct kept_address *address = malloc(sizeof *address + size);
  if (!address) return NULL;
  *address = (struct kept_address){.next = script->kept.addresses};
  memcpy(address->text, text, size);
  script->kept.addresses = address;
  return address;
}

static void remove_address(struct script *script, struct kept_address *address) {
  struct kept_address **place = &script->kept.addresses;
  while (*place != address) place = &(*place)->next;
  *place = address->next;
  free(address);
}

static void link_in(struct kept *kept, struct kept_address *address) {
  kept->address = address;
  kept->next = address->first;
  if (kept->next) kept->next->previous = kept;
  address->first = kept;
  address->count++;
  kept->script->kept.count++;
}

static void link_out(struct kept *kept) {
  struct kept_address *address = kept->address;
  if (kept->previous)
    kept->previous->next = kept->next;
  else
    address->first = kept->next;
  if (kept->next) kept->next->previous = kept->previous;
  kept->script->kept.count--;
  if (--address->count == 0) remove_address(kept->script, address);
}

/* Takes it out of the list. Returns the channel. */
static struct channel *take(struct kept *kept) {
  struct channel *channel = kept->channel;
  timer_cancel(&kept->script->world->timers, &kept->timer);
  link_out(kept);
  channel->user = NULL;
  stream_tls_free(kept->script, kept->tls);
  memory_give(&kept->script->memory, kept, sizeof *kept);
  return channel;
}

static void drop(struct kept *kept) {
  struct channel *channel = take(kept);
  channel->class->close(channel, false);
}

/* Whether nothing has come. A byte that is read here is lost, but then the channel is closed. */
static bool is_quiet(struct channel *channel, const struct session *session, uint32_t number) {
  char byte;
  size_t length;
  if (channel->class->receive(channel, &byte, 1, &length) == STATUS_AGAIN) return true;
  if (session) stream_tap_event(session, number, TAP_LAPSES, (struct span){NULL, 0});
  return false;
}

static void on_ready(struct channel_user *user, unsigned events) {
  struct kept *kept = (struct kept *)((char *)user - offsetof(struct kept, user));
  (void)events;
  if (!is_quiet(kept->channel, kept->session, kept->number)) drop(kept);
}

static void on_timer(struct timer *timer) {
  drop((struct kept *)((char *)timer - offsetof(struct kept, timer)));
}

static struct kept *make(struct script *script, struct channel *channel, const char *text) {
  struct timer_heap *timers = &script->world->timers;
  struct kept_address *address = find_address(script, text);
  if (script->kept.count == IN_ALL || (address && address->count == PER_ADDRESS)) return NULL;
  struct kept *kept = memory_take(&script->memory, sizeof *kept);
  if (!kept) return NULL;
  *kept = (struct kept){
      .user.on_ready = on_ready, .timer.expire = on_timer, .script = script, .channel = channel};
  if (timer_set(timers, &kept->timer, script_now(script) + KEPT_TIME) == STATUS_OK) {
    if (!address) address = add_address(script, text);
    if (address) {
      link_in(kept, address);
      return kept;
    }
    timer_cancel(timers, &kept->timer);
  }
  memory_give(&script->memory, kept, sizeof *kept);
  return NULL;
}

bool kept_give(struct stream *stream) {
  struct channel *channel = stream_take_channel(stream);
  bool is_good = stream->is_drained || is_quiet(channel, stream->session, stream->number);
  struct kept *kept = is_good ? make(stream->script, channel, stream->address) : NULL;
  if (!kept) {
    channel->class->close(channel, false);
    return false;
  }
  kept->session = stream->session;
  kept->number = stream->number;
  kept->tls = stream->tls;
  stream->tls = NULL;
  channel->user = &kept->user;
  channel->class->watch(channel, CHANNEL_READ);
  return true;
}

/* One that the session can have; NULL: there is none. */
static struct kept *find(const struct stream *stream, const struct session *session) {
  const struct kept_address *address = find_address(stream->script, stream->address);
  struct kept *kept = address ? address->first : NULL;
  while (kept && (kept->session != session || !stream_tls_is_same(kept->tls, stream->tls)))
    kept = kept->next;
  return kept;
}

struct channel *kept_take(struct stream *stream, struct session *session) {
  struct kept *kept;
  while ((kept = find(stream, session))) {
    uint32_t number = kept->number;
    struct channel *channel = take(kept);
    if (is_quiet(channel, session, number)) {
      stream->session = session;
      stream->number = number;
      return channel;
    }
    channel->class->close(channel, false);
  }
  return NULL;
}

void kept_forget(struct script *script, const struct session *session) {
  struct kept_address *address = script->kept.addresses;
  for (; address; address = address->next)
    for (struct kept *kept = address->first; kept; kept = kept->next)
      if (kept->session == session) kept->session = NULL;
}

void kept_free_all(struct script *script) {
  while (script->kept.addresses) drop(script->kept.addresses->first);
}
