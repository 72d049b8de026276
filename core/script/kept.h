/* kept.h: channels that streams have given back, for other streams to the same address.
 *
 * A channel is kept for 60 s, and at most 64 to one address, 1,024 in all. One on which anything
 * happens meanwhile is closed: what comes late must not be taken for the answer to another request.
 * Nothing here enters Lua. */
#ifndef SCRIPT_KEPT_H
#define SCRIPT_KEPT_H

#include <stdbool.h>
#include <stddef.h>

struct channel;
struct kept_address;
struct script;
struct session;
struct stream;

/* Those of a script. Zeroed memory is an empty one. */
struct kept_list {
  struct kept_address *addresses;
  size_t count;
};

/* Takes the channel of the stream away, and keeps or closes it. The stream is closed. False: the
 * channel was closed. */
bool kept_give(struct stream *stream);

/* Returns the channel to the address of the stream that was given last; NULL: there is none. A
 * session with a tap gets what it has given itself, so that a recording of it is whole; NULL: any
 * other. */
struct channel *kept_take(struct stream *stream, struct session *session);

/* The session ends, or has no tap any more. */
void kept_forget(struct script *script, const struct session *session);

/* Closes all. */
void kept_free_all(struct script *script);

#endif
