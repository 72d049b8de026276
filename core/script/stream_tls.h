/* stream_tls.h: TLS of a stream: what a script asks for, and stream:start_tls(). */
#ifndef SCRIPT_STREAM_TLS_H
#define SCRIPT_STREAM_TLS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/network.h"

struct script;
struct stream;
struct task;

/* Belongs to a stream, or to a channel that is kept. */
struct stream_tls {
  struct network_tls options;
  uint64_t version;  /* Of the files: see prepare_tls() in base/network.h. */
  char *description; /* See describe_tls() in base/channel.h; NULL: it was not asked for. */
  size_t description_length;
  size_t size;               /* Of this block. */
  char why[NETWORK_WHY_MAX]; /* Why there is no TLS. */
  char texts[];              /* Those of the options, but for the address, which is the stream's. */
};

/* Takes the options at `index` (`true`: none), and gives them to the stream, which has none. Leaves
 * values on the stack. Raises for what is wrong with argument `argument`. */
void stream_tls_take(lua_State *state, int index, int argument, struct stream *stream);

/* Reads the files. False: nil, why and a code were pushed. */
bool stream_tls_prepare(lua_State *state, struct stream *stream, const struct task *task);

/* Whether a connection with the one can be used for the other. NULL: it is plain. */
bool stream_tls_is_same(const struct stream_tls *one, const struct stream_tls *other);

/* The code of net.connect for an error. NETWORK_OK: nothing has come in time. */
const char *stream_tls_code(enum network_error error);

/* stream:start_tls(options) */
int stream_tls_start(lua_State *state);

/* stream.tls */
void stream_tls_push(lua_State *state, const struct stream *stream);

/* NULL is ignored. */
void stream_tls_free(struct script *script, struct stream_tls *tls);

#endif
