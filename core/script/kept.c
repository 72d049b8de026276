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
  struct kept *next;
  struct kept *previous;
  char address[];
};

/* Takes it out of the list. Returns the channel. */
static struct channel *take(struct kept *kept) {
  struct channel *channel = kept->channel;
  timer_cancel(&kept->script->world->timers, &kept->timer);
  if (kept->previous)
    kept->previous->next = kept->next;
  else
    kept->script->kept = kept->next;
  if (kept->next) kept->next->previous = kept->previous;
  channel->user = NULL;
  free(kept);
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
  (void)is_quiet(kept->channel, kept->session, kept->number);
  drop(kept);
}

static void on_timer(struct timer *timer) {
  drop((struct kept *)((char *)timer - offsetof(struct kept, timer)));
}

static bool has_room(const struct script *script, const char *address) {
  size_t same = 0, all = 0;
  for (const struct kept *kept = script->kept; kept; kept = kept->next) {
    all++;
    if (strcmp(kept->address, address) == 0) same++;
  }
  return same < PER_ADDRESS && all < IN_ALL;
}

static struct kept *make(struct script *script, struct channel *channel, const char *address) {
  size_t size = strlen(address) + 1;
  struct kept *kept = has_room(script, address) ? calloc(1, sizeof *kept + size) : NULL;
  if (!kept) return NULL;
  kept->timer.expire = on_timer;
  if (timer_set(&script->world->timers, &kept->timer, script_now(script) + KEPT_TIME) !=
      STATUS_OK) {
    free(kept);
    return NULL;
  }
  memcpy(kept->address, address, size);
  kept->user.on_ready = on_ready;
  kept->script = script;
  kept->channel = channel;
  kept->next = script->kept;
  if (kept->next) kept->next->previous = kept;
  script->kept = kept;
  return kept;
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
  channel->user = &kept->user;
  channel->class->watch(channel, CHANNEL_READ);
  return true;
}

struct channel *kept_take(struct stream *stream, struct session *session) {
  struct kept *next;
  for (struct kept *kept = stream->script->kept; kept; kept = next) {
    next = kept->next;
    if (kept->session != session || strcmp(kept->address, stream->address) != 0) continue;
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
  for (struct kept *kept = script->kept; kept; kept = kept->next)
    if (kept->session == session) kept->session = NULL;
}

void kept_free_all(struct script *script) {
  struct kept *next;
  for (struct kept *kept = script->kept; kept; kept = next) {
    next = kept->next;
    drop(kept);
  }
}
