/* kept.h: channels that streams have given back, for other streams to the same address.
 *
 * A channel is kept for 60 s, and at most 64 to one address, 1,024 in all. One on which anything
 * happens meanwhile is closed: what comes late must not be taken for the answer to another request.
 * Nothing here enters Lua. */
#ifndef SCRIPT_KEPT_H
#define SCRIPT_KEPT_H

#include <stdbool.h>

struct channel;
struct script;

/* Keeps the channel, or closes it. is_drained: it is known that nothing more has come. False: it
 * was closed. */
bool kept_give(struct script *script, struct channel *channel, const char *address,
               bool is_drained);

/* Returns the channel to this address that was given last; NULL: there is none. */
struct channel *kept_take(struct script *script, const char *address);

/* Closes all. */
void kept_free_all(struct script *script);

#endif
