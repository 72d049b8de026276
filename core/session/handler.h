/* handler.h: what a session asks of a protocol.
 *
 * The script room implements it with Lua; the fuzzer with a few lines of C. */
#ifndef SESSION_HANDLER_H
#define SESSION_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "framing/framing.h"

struct session;

/* What a conversation may use; 0 ms means that there is no such limit. */
struct limits {
  size_t max_request;      /* bytes of one request, framing included */
  int64_t request_timeout; /* ms from a request's first byte to its last */
  int64_t idle_timeout;    /* ms between requests */
  int64_t write_timeout;   /* ms in which the peer takes no byte of a response */
};

struct handler {
  const struct framing *framing; /* where a request ends, or NULL to be asked with SESSION_ASK */
  struct limits limits;
  bool greets;     /* wants SESSION_GREET at the start */
  bool apologizes; /* wants SESSION_APOLOGIZE after a failure */
  bool mourns;     /* wants SESSION_CLOSE at the end, also when it was never asked anything */

  /* Does what session_next() says until that is SESSION_WAIT. It may stop early after
   * session_fail(), and is called again while something is left to do. Never re-entered. */
  void (*work)(struct handler *handler, struct session *session);

  /* Gives up something that was handed to the session by reference (a held string, a file, a
   * source): it has been sent, or will never be. */
  void (*release)(struct handler *handler, struct session *session, int reference);
};

#endif
