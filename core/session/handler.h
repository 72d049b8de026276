/* handler.h: what a session asks of a protocol.
 *
 * The script room implements it with Lua; the fuzzer with a few lines of C.
 *
 * A handler may get a successor: then each of its conversations moves over when it is between two
 * requests, or before its SESSION_CONNECT. What a conversation has in hand (a request of which a
 * byte was looked at, a response of which a file, a held string or a stream is still to go out,
 * last words) is finished by the handler that it began with. A conversation that ends without
 * another request gets its SESSION_CLOSE from the handler that it has then. */
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
  bool has_files;        /* its responses are likely to hold files */
  bool wants_on_connect; /* wants SESSION_CONNECT at the start */
  bool wants_on_expect;  /* wants SESSION_EXPECT; only with a framing of HTTP */
  bool wants_on_error;   /* wants SESSION_ERROR after a failure */
  bool wants_on_close;   /* wants SESSION_CLOSE at the end */

  /* Does what session_next() says until that is SESSION_WAIT. It may stop early after
   * session_fail(), and is called again while something is left to do. Never re-entered. */
  void (*run)(struct handler *handler, struct session *session);

  /* Gives up something that was handed to the session by reference (a held string, a file, a
   * stream): it has been sent, or will never be. */
  void (*release)(struct handler *handler, struct session *session, int reference);

  /* The conversation with this client (session_client()) is over, whether the handler was told so
   * or not: nothing may lead from the client to it any more. The last that is done with a
   * conversation; cannot fail. NULL: the handler gives its sessions no clients. */
  void (*forget_client)(struct handler *handler, struct session *session);

  /* Who takes over; NULL: nobody. The handler's owner sets it, and only between two calls of any
   * session, run() included: always to the newest, and not back to NULL. A handler that has no
   * conversations at that moment is not heard of again. */
  struct handler *successor;

  size_t sessions; /* conversations that have this handler; the session room counts them */

  /* The conversation is about to change its handler: carries its client over (session_client()). It
   * has nothing in hand, so that nothing of it is left to be released here. Called from without
   * run(), and cannot fail. `successor` is the newest. NULL: the client is left as it is. */
  void (*migrate)(struct handler *handler, struct session *session, struct handler *successor);

  /* The last conversation of a handler that has a successor has left. Called from without run();
   * nothing in here touches the handler afterwards, so that it may be freed. NULL: nobody is told.
   */
  void (*on_unused)(struct handler *handler);
};

#endif
